"""The listening socket, its connections, and the server's life on it."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from charrnn.errors import InputError, RunError, shown

# Seconds after which a body that is late is cut off: by then it was answered with 408
_GRACE = 5.0


# -- Connections. uvicorn has a limit for all of them and none for the time that a request's head
# may take, so a few hundred clients that begin one and send no more would keep everybody else
# out.


class Arriving:
    """Connections whose request has not arrived as a whole, the longest open first.

    Args:
        most: at once; one more cuts off the one that is open longest.
        seconds: that a request's head may take, counted from the connection's or its beginning;
            its body may take as long again.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._alarms: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    def wait_for(self, transport: asyncio.Transport) -> None:
        """A connection was opened, or sends again."""
        if transport in self._alarms:
            return
        self._set_alarm(transport, self._seconds)
        if len(self._alarms) > self._most:
            next(iter(self._alarms)).abort()

    def has_head(self, transport: asyncio.Transport) -> None:
        """The head of its request is there."""
        if transport in self._alarms:
            self._alarms[transport].cancel()
            self._set_alarm(transport, self._seconds + _GRACE)

    def forget(self, transport: asyncio.Transport) -> None:
        """All of its request is there, or the connection is closed."""
        if alarm := self._alarms.pop(transport, None):
            alarm.cancel()

    def _set_alarm(self, transport: asyncio.Transport, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._alarms[transport] = loop.call_later(seconds, transport.abort)


class Connection(HttpToolsProtocol):
    """One connection, as uvicorn's `http=` takes it.

    Attributes:
        arriving: of all connections of the server; a subclass sets it.
    """

    arriving: ClassVar[Arriving]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_ToWhoeverListens(transport))
        self.arriving.wait_for(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.arriving.forget(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.arriving.wait_for(self.transport)
        super().data_received(data)

    # What httptools calls

    def on_headers_complete(self) -> None:
        self.arriving.has_head(self.transport)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.arriving.forget(self.transport)
        super().on_message_complete()


class _ToWhoeverListens(asyncio.Transport):
    """A transport on which writing to a client that has left does nothing.

    uvloop's raises RuntimeError between the moment at which it knows and the one at which it
    tells the protocol; an answer written then would be logged as a fault of the server.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()


_BACKLOG = 2048  # connections that wait to be accepted


def bind(host: str, port: int) -> socket.socket:
    """A socket with an address of this machine, on which nobody listens yet.

    Raises:
        InputError: the host is none of this machine's.
        RunError: the port cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # of a name that means both, such as localhost, what older clients try first
        family, kind, protocol, _, address = min(found, key=lambda f: f[0] != socket.AF_INET)
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"host={shown(host)}: {_reason(error)}; give a name or an address of this machine, "
            f"without brackets, and the port as port="
        ) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(
                f"host={shown(host)}: is no address of this machine; 0.0.0.0 stands for all"
            ) from None
        raise _cannot_listen(host, port, error) from None
    return bound


def listen(bound: socket.socket) -> None:
    """Let clients in; they wait for `serve`.

    Raises:
        RunError: another has listened there since it was bound.
    """
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _cannot_listen(host, port, error) from None


def _cannot_listen(host: str, port: int, error: OSError) -> RunError:
    return RunError(f"port={port}: cannot listen on {host}:{port} ({_reason(error)}); give another")


def address_of(bound: socket.socket) -> str:
    """The address that a browser is given."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Any, bound: socket.socket, *, connections: int, seconds: float, drain: int) -> None:
    """Answer requests until SIGTERM or SIGINT, and then those that are under way.

    The signal that ended it is raised again when all is done, for whoever called this.

    Args:
        connections: more are answered with 503; half of them may have a request that has not
            arrived yet.
        seconds: that the head of a request may take to arrive.
        drain: seconds for what is under way.
    """

    class Limited(Connection):
        arriving = Arriving(max(1, connections // 2), seconds)

    config = uvicorn.Config(
        app,
        http=Limited,
        log_config=None,
        log_level="error",  # what clients do wrong fills no log
        access_log=False,
        server_header=False,
        limit_concurrency=connections + 1,  # which uvicorn turns away itself
        backlog=_BACKLOG,
        timeout_graceful_shutdown=drain,
        ws="none",
    )
    logging.getLogger("uvicorn.error").addFilter(_is_a_fault)
    with _tuned_for_requests():
        uvicorn.Server(config).run(sockets=[bound])


@contextmanager
def _tuned_for_requests() -> Iterator[None]:
    """Let Python change threads ten times as often, and search for garbage more rarely.

    The thread that writes asks for the interpreter's lock several times a chunk, and gets it only
    when the one that answers has had its turn. What a request makes is freed at its end without a
    search.
    """
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(0.0005)
    gc.set_threshold(20_000, *threshold[1:])
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)


def _is_a_fault(record: logging.LogRecord) -> bool:
    """Whether a record tells of more than that requests were cancelled, at a forced end."""
    return "CancelledError" not in logging.Formatter().format(record)


def _reason(error: OSError | UnicodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "is no name of a host"
