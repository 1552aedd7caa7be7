"""Connections on which a request never arrives, clients that leave, and those that stay."""

from __future__ import annotations

import http.client
import json
import select
import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.extras.serve.servers import Server, request_of, serving_main
from tests.waiting import until

HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
# All of a request's head but its end, a part of its body, and nothing at all
UNFINISHED = [
    b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n",
    request_of({"prompt": "A"})[:-1],
    b"",
]


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it, without an answer."""
    if not select.select([connection], [], [], 0)[0]:
        return False
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_connections_without_a_request_make_room(models: Path) -> None:
    """Check that connections with an open request stay."""
    import httpx

    options = ["streams=6", "max_length=1000000000", "max_connections=6"]
    with serving_main(models, *options) as (server, _), ExitStack() as stack:
        for begun in [*UNFINISHED, HEALTH]:
            opened = []
            for _ in range(20):  # of one client, who keeps them
                opened.append(stack.enter_context(server.connect(begun)))
                if begun == HEALTH:
                    assert opened[-1].recv(1000).startswith(b"HTTP/1.1 200")
            assert httpx.get(f"{server.url}/health").status_code == 200
            until(lambda: all(map(is_closed, opened[:14])))  # noqa: B023
            with server.connect(request_of({"prompt": "A"})) as whole:
                assert whole.recv(12) == b"HTTP/1.1 200"
        endless = request_of({"max_tokens": 1_000_000_000, "stream": True})
        taken = [stack.enter_context(server.connect(endless)) for _ in range(6)]
        for connection in taken:
            assert connection.recv(12) == b"HTTP/1.1 200"
        refused = httpx.get(f"{server.url}/health")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        taken[0].close()
        until(lambda: httpx.get(f"{server.url}/health").status_code == 200)
        assert len(server.lines) == 1, server.lines


def read_error(connection: socket.socket) -> tuple[int, str]:
    """Return the status and the message of an answer, after which the connection is closed."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())["error"]["message"]


def test_what_is_no_request_is_refused_and_an_endless_head_is_cut_off(server: Server) -> None:
    with server.connect(b"hello\r\n\r\n") as connection:
        status, message = read_error(connection)
        assert (status, message[:26]) == (400, "no valid HTTP/1.1 request,")
        until(lambda: is_closed(connection))
    with server.connect(HEALTH[:-2]) as endless, pytest.raises(ConnectionError):
        sent = 0
        while sent < 5_000_000:
            sent += endless.send(b"a: b\r\n" * 10_000)
            time.sleep(0.001)
    assert len(server.lines) == 1, server.lines


def test_clients_that_leave_leave_nothing_in_the_log(server: Server) -> None:
    whole = {"prompt": "A", "max_tokens": 500, "n": 4}
    page = HEALTH.replace(b"/health", b"/docs")
    sent = [*UNFINISHED, request_of(whole), request_of({**whole, "stream": True}), page + page]
    for number, data in enumerate(sent * 2):
        with server.connect(data) as connection:
            if number < len(sent):
                connection.shutdown(socket.SHUT_WR)
            # a reset while an answer is being sent
            reset = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    with server.connect(request_of({"prompt": "A", "max_tokens": 1})) as connection:
        assert json.loads(connection.makefile("rb").read(2000).split(b"\r\n\r\n")[1])
    assert len(server.lines) == 1, "".join(server.lines)
