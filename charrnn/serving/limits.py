"""What one request may cost, and how one that asks for too much is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charrnn.serving.answers import refused

# A client that is still sending reads no answer: what is too large is received to its end, and
# thrown away, up to so many times the limit.
_PATIENCE = 16


@dataclass(frozen=True)
class Limits:
    """What the server gives at most.

    Attributes:
        length: new characters of a completion.
        prompt: characters of a request's prompts together.
        streams: completions written side by side.
        queue: completions that wait for a place.
        body: bytes of a request.
        seconds: that a request may take to arrive, and then to be answered.
        connections: open at once.
    """

    length: int = 10_000
    prompt: int = 100_000
    streams: int = 64
    queue: int = 256
    body: int = 2_000_000
    seconds: float = 60.0
    connections: int = 256


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
            with anyio.move_on_after(self._limits.seconds) as waiting:
                body = await self._body(dict(scope["headers"]), receive)
        except ClientDisconnect:
            return
        if waiting.cancelled_caught:
            text = f"the request did not arrive within {self._limits.seconds:g} seconds"
            await refused(408, text)(scope, receive, send)
        elif body is None:
            text = f"the request has more than the {self._limits.body:,} bytes that are read"
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
        if announced.isdigit() and int(announced[:20]) > self._limits.body * _PATIENCE:
            return None
        parts, size, more = [], 0, True
        while more and size <= self._limits.body * _PATIENCE:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= self._limits.body:
                parts.append(part)
        return b"".join(parts) if size <= self._limits.body else None


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
