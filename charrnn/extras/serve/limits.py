"""ASGI middleware: what a request may cost, and which sites may ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charrnn.errors import shown
from charrnn.extras.serve.protocol import Refusal, refused
from charrnn.extras.serve.serve_command import Limits

# A client that is still sending reads no answer: what is too large is received to its end, and
# thrown away, up to so many times the limit.
_PATIENCE = 16


class BodyLimit:
    """ASGI middleware: hands a request on when all of its body is there.

    A body of too many bytes is answered with 413, one that takes too long to come with 408.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body: bytes | None = None
        try:
            with anyio.move_on_after(self._limits.max_seconds) as waiting:
                body = await self._body(dict(scope["headers"]), receive)
        except ClientDisconnect:
            return
        if waiting.cancelled_caught:
            text = f"the request did not arrive within {self._limits.max_seconds:g} seconds"
            await refused(408, text)(scope, receive, send)
        elif body is None:
            text = f"the request has more than the {self._limits.max_body:,} bytes that are read"
            await refused(413, text)(scope, receive, send)
        else:
            await self._app(scope, _replaying(body, receive), send)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body; None if it is too large.

        Raises:
            ClientDisconnect: nobody will send the rest.
        """
        announced = headers.get(b"content-length", b"")
        # no more digits than Python reads as a number
        if announced.isdigit() and int(announced[:20]) > self._limits.max_body * _PATIENCE:
            return None
        parts, size, more = [], 0, True
        while more and size <= self._limits.max_body * _PATIENCE:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= self._limits.max_body:
                parts.append(part)
        return b"".join(parts) if size <= self._limits.max_body else None


def _replaying(body: bytes, receive: Receive) -> Receive:
    """What receives a body that was received already, and then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


# -- Which web pages may ask: a browser sends what any page tells it to, to this machine too.


class Sites:
    """The pages of this server itself, and the others that may ask.

    Args:
        cors: origins whose pages may ask, as browsers name them; `*` is all.
        host: the name or address by which a server that only this machine reaches is bound; None
            for one that others reach, under names that it cannot know.
    """

    def __init__(self, cors: Sequence[str] = (), host: str | None = None) -> None:
        self._all = "*" in cors
        self._origins = {origin.lower() for origin in cors}
        self._hosts = {_name(origin.partition("://")[2]) for origin in cors if origin[:4] == "http"}
        self._checks_host = host is not None and not self._all
        if host is not None:
            self._hosts |= {"localhost", host.lower()}

    def refuse_host(self, headers: Headers) -> Refusal | None:
        """Why a request is not answered that was sent to another name, if it was.

        A page from elsewhere whose name was made to mean 127.0.0.1 after it was loaded (DNS
        rebinding) is this server's own to a browser; only `Host` shows it.
        """
        for given in headers.getlist("host") if self._checks_host else ():
            name = _name(given)
            if name and name not in self._hosts and not is_loopback(name):
                return Refusal(
                    421,
                    f"{shown(given)}: this server answers to localhost and its address only; "
                    f"cors=[http://{shown(given)}] lets it answer to that name, too",
                )
        return None

    def require_own(self, request: Request) -> None:
        """Refuse what the page of another site has started; whoever is no browser may ask.

        Raises:
            Refusal: it comes from elsewhere.
        """
        site = request.headers.get("sec-fetch-site")
        # an image or a link has no Origin, and in old browsers nothing but a Referer
        origin = request.headers.get("origin") or (
            None if site else _origin(request.headers.get("referer", ""))
        )
        if self._all or (origin and origin.lower() in self._origins):
            return
        if site:
            own = site in ("same-origin", "none")
        else:
            own = not origin or urlsplit(origin).netloc == request.headers.get("host")
        if not own:
            where = shown(origin or "another site")
            raise Refusal(403, f"{where}: its pages may not ask here; cors=[ORIGIN] lets them")


class HostCheck:
    """ASGI middleware: refuses what was sent to the name of another server."""

    def __init__(self, app: ASGIApp, sites: Sites) -> None:
        self._app, self._sites = app, sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._sites.refuse_host(Headers(scope=scope)) if scope["type"] == "http" else None
        await (refusal.response() if refusal else self._app)(scope, receive, send)


def is_loopback(address: str) -> bool:
    """Whether this is an address that no other machine reaches; of a name it is false."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _name(authority: str) -> str:
    """`HOST`, `HOST:PORT` or `[HOST]:PORT` without the port; "" where it is none of them."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return authority.lower()


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
