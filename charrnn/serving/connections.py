"""Connections: how long a request may take to arrive, and clients that leave.

uvicorn has a limit for all connections and none for the time that a request's head may take, so
a few hundred clients that begin one and send no more would keep everybody else out.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Seconds after which a body that is late is cut off: by then it was answered with 408
_GRACE = 5.0


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
