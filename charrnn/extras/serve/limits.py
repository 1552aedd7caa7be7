"""The limits of connections: how many there are, and the size and the time of a request.

uvicorn turns away requests beyond its limit of connections, and waits without end for the rest of
one, so that a few hundred clients who send nothing would keep everybody else out. Here a
connection without a whole request makes room for a new one, and a client that leaves ends its
request.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from charrnn.extras.serve.protocol import error_answer
from charrnn.extras.serve.serve_options import ServeOptions

HEAD_BYTES = 64 << 10  # of a request's head, at most
_SLACK = 2.0  # seconds in which an answer that was given up ends


class Connection:
    """One connection: uvicorn's protocol, and what is under way on it.

    The application's state has `connections`, all that are open, those that were idle longest
    first, each with whether it is idle, and `options`.
    """

    _transport: asyncio.Transport
    request: anyio.CancelScope | None = None

    def __init__(self, *, app_state: dict[str, Any], **arguments: Any) -> None:
        self._http = H11Protocol(app_state={**app_state, "connection": self}, **arguments)
        self._open: dict[Connection, bool] = app_state["connections"]
        self._most = app_state["options"].max_connections

    def set_idle(self, idle: bool) -> None:
        if self._open.pop(self, None) is not None:  # else it was closed meanwhile
            self._open[self] = idle

    def connection_made(self, transport: asyncio.Transport) -> None:
        idle = [connection for connection, is_idle in self._open.items() if is_idle]
        if idle and len(self._open) >= self._most:
            del self._open[idle[0]]
            idle[0]._transport.abort()
        self._transport = transport
        self._open[self] = True
        self._http.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.pop(self, None)
        self._http.connection_lost(exc)
        if self.request is not None:
            self.request.cancel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._http, name)  # what else the event loop tells a protocol


class LimitRequests:
    """ASGI middleware: a late request is a 408, a large one a 413, one without a place a 503."""

    def __init__(self, app: ASGIApp, options: ServeOptions) -> None:
        self._app, self._options = app, options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection: Connection = scope["state"]["connection"]
        if len(scope["state"]["connections"]) > self._options.max_connections:
            full = HTTPException(503, "all connections are taken", {"Connection": "close"})
            await error_answer(full)(scope, receive, send)
            return
        size, arrived, most = 0, False, self._options.max_body

        async def limited_receive() -> Message:
            nonlocal size, arrived
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise HTTPException(413, f"the request has more than the {most:,} bytes allowed")
            if not arrived and not message.get("more_body"):
                arrived = True
                connection.set_idle(False)
            return message

        try:
            with anyio.move_on_after(self._options.max_seconds + _SLACK) as connection.request:
                await self._app(scope, limited_receive, send)
            if connection.request.cancelled_caught and not arrived:
                late = HTTPException(408, "the request did not arrive in time")
                await error_answer(late)(scope, receive, send)
        finally:
            connection.set_idle(True)
