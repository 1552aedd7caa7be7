"""Who may send requests: the page of this server, programs, and the websites of `origins=`.

A website in a browser can send requests to a server on the same machine or network. The
headers of a browser tell which one does. `Origin` is the website whose page sends the request.
`Host` is the name in the address: a website can let its name mean 127.0.0.1 (DNS rebinding),
and its page then has the same origin as this server.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from charrnn.errors import shorten

_LARGEST, _LARGEST_TEXT = 1_000_000, 20_000_000  # bytes of a request, of one for a training


class Guard:
    """ASGI middleware that refuses requests of other websites, and large ones.

    Args:
        names: of hosts under which the server answers, besides IP addresses and localhost.
        origins: of other websites that may send requests. "null" are pages opened as files.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], origins: Collection[str]) -> None:
        self._app, self._names, self._origins = app, [*map(str.lower, names)], origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            refusal = self._find_refusal(scope["path"], Headers(scope=scope))
            app = app if refusal is None else make_error_response(*refusal)
        await app(scope, receive, send)

    def _find_refusal(self, path: str, headers: Headers) -> tuple[int, str] | None:
        """Return the status and the message for a request that is refused, else None."""
        host, origin = headers.get("host", ""), headers.get("origin")
        name = _get_name(host)
        if name != "localhost" and _parse_ip(name) is None and name not in self._names:
            hint = f"if it should be: charrnn serve names=[{shorten(name)}]"
            return 400, f"Host: {shorten(host)!r} is no name of this server; {hint}"
        if origin is not None and origin not in self._origins and not _is_own(origin, host):
            word = "file" if origin == "null" else shorten(origin)
            hint = f"if it may use this server: charrnn serve origins=[{word}]"
            return 403, f"Origin: {shorten(origin)!r} is another website; {hint}"
        is_embedded = headers.get("sec-fetch-mode", "navigate") != "navigate"
        if origin is None and is_embedded and headers.get("sec-fetch-site", "").endswith("-site"):
            return 403, "Sec-Fetch-Site: another website may link to this server, not embed it"
        largest = _LARGEST_TEXT if path == "/v1/trainings" else _LARGEST
        if "transfer-encoding" in headers or int(headers.get("content-length", 0)) > largest:
            return 413, f"Content-Length: must be given, and {largest:,} bytes at most"
        return None


def require_loopback(request: Request) -> None:
    """Raise HTTPException unless this machine asks, by the page of the server or by a program."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    peer = _parse_ip(request.client.host if request.client else "")
    called = _parse_ip(_get_name(host).replace("localhost", "127.0.0.1"))
    is_here = peer and peer.is_loopback and called and called.is_loopback
    if not is_here or (origin is not None and not _is_own(origin, host)):
        raise HTTPException(403, "trainings are only for the page on the machine of the server")


def make_error_response(status: int, message: str) -> JSONResponse:
    """Return an error in OpenAI's format. The message may begin with the field that is wrong."""
    param = re.match(r"([\w-]+)[=:]", message)
    detail = {
        "message": message.encode("utf-8", "backslashreplace").decode(),
        "type": "invalid_request_error" if status < 500 else "server_error",
        "param": param and param[1],
        "code": "model_not_found" if status == 404 and message.startswith("model:") else None,
    }
    return JSONResponse({"error": detail}, status)


def _get_name(host: str) -> str:
    """Return the name in a header `Host`, without the port."""
    return re.sub(r":\d*$", "", host.lower())


def _parse_ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an IP address, which has brackets in a URL if it is IPv6; None for other names."""
    try:
        return ipaddress.ip_address(re.sub(r"^\[(.*:.*)\]$", r"\1", name))
    except ValueError:
        return None


def _is_own(origin: str, host: str) -> bool:
    """Return whether a page is of this server, which may be behind a proxy with TLS."""
    return re.sub("^https?://", "", origin.lower()) == host.lower()
