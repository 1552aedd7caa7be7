"""The listening socket, its connections and their limits, and the server's life.

uvicorn turns away requests beyond its limit of connections, and waits without end for the rest of
one, so that a few hundred clients who send nothing would keep everybody else out. Here a
connection without a whole request makes room for a new one, and every phase of it has its time.

`Connection` stands between the event loop and uvicorn's protocol; `Phases`, around the
application, tells it what has arrived.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import sys
from contextlib import ExitStack
from typing import Any

import anyio
import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from charrnn.errors import InputError, RunError, shown
from charrnn.extras.serve.protocol import error_answer
from charrnn.extras.serve.serve_options import ServeOptions

_BACKLOG = 2048  # connections that wait to be accepted
_HEAD_BYTES = 64 << 10  # of a request's head, at most
_SLACK = 5.0  # seconds after which what was given up in an answer is cut off


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to; they wait for `serve`.

    Raises:
        InputError: the host is none of this machine's.
        RunError: the port cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # of a name that means both, such as localhost, what older clients try first
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        is_host = isinstance(error, UnicodeError | socket.gaierror)
        reason = "is no name of a host" if isinstance(error, UnicodeError) else error.strerror
        if not is_host and error.errno != errno.EADDRNOTAVAIL:  # type: ignore[union-attr]
            raise RunError(
                f"port={port}: cannot listen on {host}:{port} ({reason}); give another"
            ) from None
        raise InputError(
            f"host={shown(host)}: {reason}; give a name or an address of this machine without "
            f"brackets, or 0.0.0.0 for all, and the port as port="
        ) from None


def address_of(listening: socket.socket) -> str:
    """The address that a browser is given."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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


def serve(app: FastAPI, listening: socket.socket, options: ServeOptions) -> None:
    """Answer requests until SIGTERM or SIGINT, and then those that are under way.

    The signal that ended it is raised again when all is done, for whoever called this.
    """
    config = uvicorn.Config(
        app,
        http=Connection,  # type: ignore[arg-type]  # has what a protocol has by __getattr__
        h11_max_incomplete_event_size=_HEAD_BYTES,
        log_config=None,
        log_level="critical",  # what clients do wrong fills no log; faults are the app's to tell
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=options.drain_seconds,
        ws="none",
    )
    with ExitStack() as undo:
        # The thread that writes asks for the interpreter's lock several times a chunk, and gets it
        # when the one that answers has had its turn; what a request makes is freed at its end
        # without a search for garbage.
        undo.callback(sys.setswitchinterval, sys.getswitchinterval())
        undo.callback(gc.set_threshold, *gc.get_threshold())
        sys.setswitchinterval(0.0005)
        gc.set_threshold(20_000)
        uvicorn.Server(config).run(sockets=[listening])
