"""The server as a command and a process: its routes, its limits, how it ends."""

from __future__ import annotations

import errno
import json
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.extras.serve.servers import CORPUS, request_of, serving, serving_main
from tests.refusals import refusal_of
from tests.waiting import until

# Python 3.13 reads to the end of 4,000 brackets.
TOO_DEEP = (
    "recursion depth exceeded" if sys.version_info < (3, 13) else "is not JSON: Expecting value"
)
ENDLESS = {"max_tokens": 1_000_000_000}


# The command line


def read_refusal(capfd: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    return refusal_of(capfd, "serve", *words, code=code).removeprefix("charrnn serve: ")


def test_serve_refuses_wrong_options_in_one_line(
    path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    for words, what in {
        (f"models.a={path}", "models.b=what's, (this)=?"): "what's, (this)=?: no such file",
        (f"checkpoint={path}", "models.b=x"): "checkpoint: give either checkpoint=",
        ("models.a=",): "models={'a': ''}: takes a path",
        ("cors=[https://example.org/]",): "cors=['https://example.org/']: takes origins",
    }.items():
        assert read_refusal(capfd, *words).startswith(what)
    pytest.importorskip("fastapi_offline")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = (f"checkpoint={path}", f"port={taken.getsockname()[1]}")
        assert "another server uses it" in read_refusal(capfd, *words, code=1)
    assert "host=127.0.0.1:80 port=" in read_refusal(capfd, str(path), "host=127.0.0.1:80")
    refuse = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(socket, "create_server", Mock(side_effect=refuse))
    line = read_refusal(capfd, f"checkpoint={path}", "port=80")
    assert "port=80: Permission denied; choose a port above 1023" in line


def test_serve_names_a_missing_package(
    path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "charrnn.extras.serve.app", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi_offline", None)
    line = read_refusal(capfd, f"checkpoint={path}")
    assert line.startswith("serve needs the package fastapi_offline: ")
    assert "pip install -e '.[serve]'" in line


# The server of all tests


def test_routes_are_documented_and_pages_load_nothing_from_elsewhere(http: Any) -> None:
    assert http.get("/health").json() == {"status": "ok"}
    paths = http.get("/openapi.json").json()["paths"]
    assert {"/v1/completions", "/v1/models", "/health"} <= set(paths)
    assert "https://" not in http.get("/docs").text
    pytest.importorskip("charrnn.extras.page", reason="there is no page in this checkout")
    assert "default-src 'none'" in http.get("/").text


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/nothing", None, 404, "/docs lists"), ("PUT", "/v1/models", None, 405, ""),
        ("GET", "/v1/models/none", None, 404, "main"),
        ("POST", "/v1/completions", b'{"prompt":', 400, "is not JSON: Expecting value: line 1"),
        ("POST", "/v1/completions", b'{"prompt": "\xe9"}', 400, "byte 0xe9 in position 12"),
        ("POST", "/v1/completions", b'{"n": ' + b"[" * 4_000, 400, TOO_DEEP),
        ("POST", "/v1/completions", b'{"stop": [' + b'"",' * 9_999 + b'""]}', 400, "5,000 values"),
        ("POST", "/v1/completions", b"x" * 2_000_001, 413, "2,000,000 bytes"),
        ("POST", "/v1/read_as", b'{"text": "a", "modle": "b"}', 400, "did you mean model?"),
    ],
)  # fmt: skip
def test_every_error_has_the_same_shape(
    http: Any, method: str, path: str, body: bytes | None, status: int, words: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = http.request(method, path, content=body, headers=headers)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert words in error["message"]


@pytest.mark.parametrize("model", ["main", "bytes"])
def test_copies_are_ranges_of_characters(http: Any, model: str) -> None:
    """Check in a text that is compared in several blocks."""
    pytest.importorskip("pydivsufsort")
    text = "😀é It was a dark and stormy; the rain, torrents. Café 😀 au lait?" + "é" * 231
    asked = {"text": text * 9, "model": model}
    ranges = http.post("/v1/copied", json=asked).json()["ranges"]
    found = [asked["text"][start:end].strip() for start, end in ranges]
    assert found == ["It was a dark and stormy", "torrents. Café 😀 au lait"] * 9
    read_as = http.post("/v1/read_as", json={"text": "é, €"}).json()["read_as"]
    assert read_as == {"é": "e", "€": ""}
    lines = {"text": f"Café\n{CORPUS} \n", "model": model}
    assert http.post("/v1/lines", json=lines).json() == {"lines": [1]}
    assert http.post("/v1/copied", json={"text": "", "model": model}).json() == {"ranges": []}


# Separate servers


@pytest.mark.usefixtures("models")  # which says what is not installed
def test_without_a_model_the_page_learns_a_text(workplace: Path) -> None:
    pytest.importorskip("charrnn.extras.page", reason="there is no page in this checkout")
    with serving() as server, server.client() as http:
        assert "serving a page that learns a text at" in server.lines[0]
        assert http.get("/").headers["content-security-policy"] == "frame-ancestors 'none'"
        assert http.get("/v1/models").json()["data"] == []
        refused = http.post("/v1/completions", json={"prompt": "the"})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (404, "model_not_found")
        assert error["message"].startswith("there is no model yet; `charrnn train")
        assert server.stop() == 0
        assert len(server.lines) == 1, server.lines


def test_clients_that_leave_make_room_and_sigterm_lets_the_others_end(models: Path) -> None:
    options = ["streams=2", "max_queue=1", "max_length=1000000000"]
    with serving_main(models, *options) as (server, http), ThreadPoolExecutor() as threads:
        with ExitStack() as opened:
            for _ in range(3):
                stream = request_of({**ENDLESS, "stream": True})
                assert opened.enter_context(server.connect(stream)).recv(12) == b"HTTP/1.1 200"
            for path, field in (("/v1/completions", "prompt"), ("/v1/copied", "text")):
                full = http.post(path, json={field: "A"})
                assert (full.status_code, full.headers["retry-after"]) == (429, "1")
                assert "too many requests are waiting" in full.json()["error"]["message"]
            assert http.get("/v1/models").status_code == 200
        until(lambda: http.post("/v1/completions", json={"n": 2}).status_code == 200)
        with server.connect(request_of({**ENDLESS, "n": 2})):
            assert http.get("/health").status_code == 200
        until(lambda: http.post("/v1/completions", json={"n": 2}).status_code == 200)
        asked = {"prompt": "A", "max_tokens": 10_000, "seed": 1}
        whole = threads.submit(http.post, "/v1/completions", json=asked)
        time.sleep(0.5)  # until it has come
        with http.stream("POST", "/v1/completions", json={**asked, "stream": True}) as answer:
            lines = answer.iter_lines()
            first = next(lines)
            assert server.stop() == 0
            text = "\n".join([first, *lines])
        assert text.endswith("data: [DONE]\n")
        assert len(whole.result().json()["choices"][0]["text"]) == 10_000
        assert len(server.lines) == 1, server.lines


def test_limits_are_kept_and_it_ends_although_one_is_not_done(models: Path) -> None:
    import httpx

    options = ["max_seconds=0.5", "max_length=1000000000", "max_body=1000", "unknown=error"]
    with serving_main(models, *options, "drain_seconds=0") as (server, http):
        assert http.post("/v1/completions", json={"prompt": "é"}).status_code == 400
        assert http.post("/v1/read_as", json={"text": "é"}).json() == {"read_as": {"é": None}}
        for path in ("/v1/copied", "/v1/lines"):  # which have no training text
            assert http.post(path, json={"text": ""}).status_code == 404
        late = http.post("/v1/completions", json=ENDLESS)
        assert (late.status_code, late.json()["error"]["code"]) == (503, "timeout")
        with http.stream("POST", "/v1/completions", json={**ENDLESS, "stream": True}) as streamed:
            events = [line for line in streamed.iter_lines() if line]
        assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "timeout"
        head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
        with server.connect(head + b"content-length: 10\r\n\r\n{") as slow:
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        with (
            http.stream("POST", "/v1/completions", json={**ENDLESS, "stream": True}) as answer,
            pytest.raises(httpx.HTTPError),
        ):
            lines = answer.iter_lines()
            next(lines)
            assert server.stop(signal.SIGHUP) == 0  # the terminal was closed
            list(lines)
        assert len(server.lines) == 1, server.lines
