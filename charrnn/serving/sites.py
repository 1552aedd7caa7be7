"""Which web pages may ask: a browser sends what any page tells it to, to this machine too."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from charrnn.errors import shown
from charrnn.serving.answers import Refusal


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
