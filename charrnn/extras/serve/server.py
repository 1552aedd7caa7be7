"""Run the server, and limit its connections and the host, the size and the time of a request.

uvicorn rejects requests above its limit of connections, but waits without a timeout for the rest
of a request. A few hundred clients that send nothing would block the server. Here a new connection
replaces the oldest idle one, and a client that disconnects cancels its request.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import re
import socket
import sys
from typing import Any

import anyio
import h11
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from charrnn.errors import shorten
from charrnn.extras.serve.protocol import as_json, format_error, make_error_response
from charrnn.extras.serve.serve_options import ServeOptions

_HEAD_BYTES = 64 << 10  # the largest head of a request: its first line and its headers
_SLACK = 2.0  # seconds for a response to end after its timeout


def serve(app: FastAPI, listening: socket.socket, drain_seconds: int) -> None:
    """Serve until SIGTERM or SIGINT, and finish the requests that have started.

    uvicorn then raises the signal again for the caller.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        log_config=None,
        log_level="critical",  # Errors of clients are not logged; the app logs internal errors.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=drain_seconds,
        ws="none",
    )
    # The scheduler's thread needs the GIL several times per chunk, so a short switch interval
    # reduces its waits. A request leaves little garbage in cycles, so rare collections are enough.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(20_000)
    uvicorn.Server(config).run(sockets=[listening])


class Connection(H11Protocol):
    """A connection, and its current request.

    The application's state contains `options` and `connections`. That dict maps each open
    connection to whether it is idle, and the longest idle connection is first.
    """

    request: anyio.CancelScope | None = None

    def __init__(self, *, app_state: dict[str, Any], **arguments: Any) -> None:
        super().__init__(app_state={**app_state, "connection": self}, **arguments)
        self._all: dict[Connection, bool] = app_state["connections"]

    def set_idle(self, idle: bool) -> None:
        if self._all.pop(self, None) is not None:  # None if it was closed
            self._all[self] = idle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        idle = [connection for connection, is_idle in self._all.items() if is_idle]
        if idle and len(self._all) >= self.app_state["options"].max_connections:
            del self._all[idle[0]]
            idle[0].transport.abort()
        self._all[self] = True
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.pop(self, None)
        super().connection_lost(exc)
        if self.request is not None:
            self.request.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuse what h11 cannot parse, in OpenAI's format, and close the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # No response has started.
            wrong = f"no valid HTTP/1.1 request, or a head of more than {_HEAD_BYTES:,} bytes"
            body = as_json(format_error(HTTPException(400, wrong)))
            headers = [("Content-Type", "application/json"), ("Connection", "close")]
            head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            if self.cycle is not None:
                self.cycle.disconnected = True  # so that the application does not answer as well
        self.transport.close()


class LimitRequests:
    """ASGI middleware: 400 for a host (without port) that is not among `hosts`, 408 or 503 for a
    late request, 413 for a large one, 431 for a large head, 503 without a connection or at the end
    of the server.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions, hosts: frozenset[str] | None) -> None:
        self._app, self._options, self._hosts = app, options, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection: Connection = scope["state"]["connection"]
        if len(scope["state"]["connections"]) > self._options.max_connections:
            full = HTTPException(503, "all connections are in use", {"Connection": "close"})
            await make_error_response(full)(scope, receive, send)
            return
        head = [scope["raw_path"], scope["query_string"], *itertools.chain(*scope["headers"])]
        if sum(map(len, head)) > _HEAD_BYTES:
            large = HTTPException(431, f"the head is larger than {_HEAD_BYTES:,} bytes")
            await make_error_response(large)(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")
        if self._hosts is not None and re.sub(r":\d*$", "", host.lower()) not in self._hosts:
            known = ", ".join(sorted(self._hosts))
            wrong = HTTPException(400, f"Host: {shorten(host)!r} is none of {known}")
            await make_error_response(wrong)(scope, receive, send)
            return
        size, arrived, started = 0, False, False
        seconds = self._options.max_seconds + _SLACK
        timeout = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        limit = self._options.max_body

        async def receive_within_limit() -> Message:
            nonlocal size, arrived
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise HTTPException(413, f"the request is larger than {limit:,} bytes")
            if not arrived and not message.get("more_body"):
                arrived = True
                connection.set_idle(False)
            return message

        async def note_start_and_send(message: Message) -> None:
            nonlocal started
            started = True
            if scope["method"] == "GET":  # Files may take longer, part by part.
                timeout.deadline = anyio.current_time() + seconds
            await send(message)

        try:
            connection.request = timeout
            with timeout:
                await self._app(scope, receive_within_limit, note_start_and_send)
            if timeout.cancelled_caught and not started:
                late = HTTPException(503 if arrived else 408, "timeout; send or ask for less")
                await make_error_response(late)(scope, receive, send)
        except asyncio.CancelledError:  # by uvicorn, `drain_seconds` after SIGTERM
            if not started:
                end = HTTPException(503, "the server ends")
                await make_error_response(end)(scope, receive, send)
            raise
        finally:
            connection.set_idle(True)
