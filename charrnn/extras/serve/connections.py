"""How many connections there are, how long each may take, and how much it may send.

uvicorn turns away requests beyond its limit of connections, and waits without end for the rest of
one, so that a few hundred clients who send nothing would keep everybody else out. Here a
connection without a whole request makes room for a new one, and every phase of it has its time.

`Connection` stands between the event loop and uvicorn's protocol; `Phases`, around the
application, tells it what has arrived.
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
_SLACK = 5.0  # seconds after which what was given up in an answer is cut off


class Connection:
    """One connection: uvicorn's protocol with a clock. It is what uvicorn takes as `http`.

    The application's state has `options` and `connections`: all that are open, in the order of
    their last phases, and whether each makes room for a new one.
    """

    _transport: asyncio.Transport
    _alarm: asyncio.TimerHandle

    def __init__(self, *, app_state: dict[str, Any], **arguments: Any) -> None:
        self._http = H11Protocol(app_state={**app_state, "connection": self}, **arguments)
        self._all: dict[Connection, bool] = app_state["connections"]
        self._options: ServeOptions = app_state["options"]

    def begin_phase(self, seconds: float, *, makes_room: bool) -> None:
        """Give what comes next so much time."""
        self._end_phase()
        if not self._transport.is_closing():  # what ends after its connection does
            self._all[self] = makes_room
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def _end_phase(self) -> None:
        if self._all.pop(self, None) is not None:
            self._alarm.cancel()

    def connection_made(self, transport: asyncio.Transport) -> None:
        idle = [connection for connection, makes_room in self._all.items() if makes_room]
        if idle and len(self._all) >= self._options.max_connections:
            idle[0]._end_phase()
            idle[0]._transport.abort()
        self._transport = transport
        self.begin_phase(self._options.max_seconds, makes_room=True)
        self._http.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_phase()
        self._http.connection_lost(exc)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._http, name)  # what else the event loop tells a protocol


class Phases:
    """ASGI middleware: the phases of each request; a late body is a 408, a large one a 413."""

    def __init__(self, app: ASGIApp, options: ServeOptions) -> None:
        self._app, self._most = app, options.max_connections
        self._seconds, self._max_body = options.max_seconds, options.max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection: Connection = scope["state"]["connection"]
        if len(scope["state"]["connections"]) > self._most:
            full = HTTPException(503, "all connections are taken", {"Connection": "close"})
            await error_answer(full)(scope, receive, send)
            return
        deadline = anyio.current_time() + self._seconds
        connection.begin_phase(self._seconds + _SLACK, makes_room=True)
        size, complete = 0, False

        async def receive_within_limits() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()
            message: Message = {}
            with anyio.move_on_after(deadline - anyio.current_time()) as waiting:
                message = await receive()
            if waiting.cancelled_caught:
                late = f"the request did not arrive within {self._seconds:g} seconds"
                raise HTTPException(408, late)
            size += len(message.get("body", b""))
            if size > self._max_body:
                large = f"the request has more than the {self._max_body:,} bytes that are read"
                raise HTTPException(413, large)
            if not message.get("more_body"):
                complete = True
                connection.begin_phase(self._seconds + _SLACK, makes_room=False)
            return message

        try:
            await self._app(scope, receive_within_limits, send)
        finally:
            connection.begin_phase(self._seconds, makes_room=True)
