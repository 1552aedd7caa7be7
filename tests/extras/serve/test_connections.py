"""Connections on which a request never arrives, and clients that leave."""

from __future__ import annotations

import json
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.extras.serve.servers import Server, serving
from tests.extras.serve.test_server import request_of, until

# All of a request's head but its end, a part of its body, and nothing at all
UNFINISHED = [
    b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n",
    request_of({"prompt": "A"})[:-1],
    b"",
    b"\r\n",
]


@contextmanager
def connected(server: Server, sent: bytes = b"") -> Iterator[socket.socket]:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(sent)
        yield connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it, without an answer."""
    if not select.select([connection], [], [], 0)[0]:
        return False
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_unfinished_requests_keep_nobody_out(models: Path) -> None:
    import httpx

    checkpoint = f"checkpoint={models}/main.safetensors"
    with serving(checkpoint, "max_connections=6") as server, ExitStack() as stack:
        for begun in UNFINISHED:
            opened = [stack.enter_context(connected(server, begun)) for _ in range(12)]
            assert httpx.get(f"{server.url}/health").status_code == 200
            # the oldest make room; those that came last still have their time
            until(lambda: all(map(is_closed, opened[:9])))  # noqa: B023
            with connected(server, request_of({"prompt": "A"})) as whole:
                assert whole.recv(12) == b"HTTP/1.1 200"
        assert server.stop() == 0
        assert len(server.lines) == 1, server.lines


def test_a_request_has_its_time_to_arrive(models: Path) -> None:
    checkpoint = f"checkpoint={models}/main.safetensors"
    with serving(checkpoint, "max_seconds=1") as server:
        health = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
        with ExitStack() as stack:
            idle = [stack.enter_context(connected(server, begun)) for begun in UNFINISHED]
            again = stack.enter_context(connected(server, health))
            assert again.recv(1000).startswith(b"HTTP/1.1 200")
            again.sendall(health[:20])  # the second request on a connection
            assert idle[1].recv(12) == b"HTTP/1.1 408"
            until(lambda: all(map(is_closed, [idle[0], *idle[2:], again])))
        with connected(server) as slow:  # in time, although in pieces
            for place in range(len(health)):
                slow.sendall(health[place : place + 1])
            assert slow.recv(12) == b"HTTP/1.1 200"


def test_clients_that_leave_leave_nothing_in_the_log(models: Path) -> None:
    whole = {"prompt": "A", "max_tokens": 500, "n": 4}
    get = "GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n"
    sent = [
        *UNFINISHED,
        request_of(whole),
        request_of({**whole, "stream": True}),
        get.format("/generate?n=4").encode() * 3,
        get.format("/").encode(),
        get.format("/page/none").encode() + get.format("/docs").encode(),
    ]
    with serving(f"checkpoint={models}/main.safetensors") as server:
        for attempt in range(9):
            for data in sent:
                with connected(server, data) as connection:
                    if attempt % 3 == 0:
                        connection.shutdown(socket.SHUT_WR)
                    # a reset, which comes while an answer is on its way
                    reset = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        with connected(server, request_of({"prompt": "A", "max_tokens": 1})) as connection:
            assert json.loads(connection.makefile("rb").read(2000).split(b"\r\n\r\n")[1])
        assert server.stop() == 0
        assert len(server.lines) == 1, "".join(server.lines)
