"""Downloads, from a server on the loopback interface."""

from __future__ import annotations

import http.server
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn.errors import InputError, RunError
from charrnn.text import corpora as module
from charrnn.text.corpora import download

CONTENT = b"A text.\n" * 20_000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/text")
            self.end_headers()
            return
        if self.path == "/silent":
            threading.Event().wait(1)
            return
        if self.path in ("/missing", "/broken"):
            self.send_error(404 if self.path == "/missing" else 500)
            return
        self.send_response(200)
        if self.path != "/unannounced":
            extra = 1000 if self.path == "/short" else 0
            self.send_header("Content-Length", str(len(CONTENT) + extra))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with (
        pytest.MonkeyPatch.context() as patch,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
    ):
        patch.setenv("no_proxy", "*")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("page", ["text", "moved", "unannounced"])
def test_what_a_server_has(address: str, tmp_path: Path, page: str) -> None:
    download(f"{address}/{page}", tmp_path / "new", "")
    assert (tmp_path / "new").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["plain.txt", "with: colon%20.txt", "ü ß.txt"])
def test_a_path_or_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(CONTENT)
    for url in (name, str(tmp_path / name), (tmp_path / name).as_uri()):
        download(url, tmp_path / "new", "")
        assert (tmp_path / "new").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("missing", "answers 404"),
        ("broken", "answers 500"),
        ("short", "ends after 160000 of 161000 bytes"),
        ("silent", "cannot be reached|breaks off"),
    ],
)
def test_a_server_that_fails(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, reason: str
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)
    line = refusal(f"{address}/{page}", tmp_path, RunError)
    assert line.startswith(f"{address}/{page}: ")
    assert re.search(reason, line)
    assert line.endswith("; try this")


def test_no_server_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    assert "cannot be reached (Connection refused)" in refusal(url, tmp_path, RunError)


def test_far_too_much(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIMIT", len(CONTENT) - 1)
    assert "more than" in refusal(f"{address}/text", tmp_path, RunError)


@pytest.mark.parametrize(
    "url",
    [
        "nowhere.txt",
        "ftp://127.0.0.1/x",
        "data:,x",
        ".",
        "http://[",
        "http://[::1",
        "http://",
        "https:///x",
        "http:x",
        "http://127.0.0.1:port/x",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/ü",
        "http://127.0.0.1/\n",
        "http://127.0.0.1/\0",
        "http://127.0.0.1/\ud800",
        "file://elsewhere/x",
        "file:///nowhere",
        "file:///a%00b",
        "/dev/zero",
        "file:///dev/zero",
        "a\0b",
        "a b",
        "",
        "://",
        "//x/y",
    ],
)
def test_what_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(url, tmp_path, InputError).startswith(f"{url}: ")
    assert not (tmp_path / "new").exists()


def test_a_very_long_address_is_cut(tmp_path: Path) -> None:
    for url in (
        "http://[" + "x" * 100_000,
        "y" * 100_000,
        "http://x/" + "ü" * 100_000,
        "file:///" + "z" * 9999,
    ):
        assert len(refusal(url, tmp_path, InputError)) < 600


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for url in (str(tmp_path / "pipe"), (tmp_path / "pipe").as_uri()):
        assert "is no regular file" in refusal(url, tmp_path, InputError)


def test_progress_is_told(address: str, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    download(f"{address}/text", tmp_path / "new", "", lambda *now: told.append(now))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    download(f"{address}/unannounced", tmp_path / "new", "", lambda *now: told.append(now))
    assert told[-1] == (len(CONTENT), None)


def refusal(url: str, folder: Path, kind: type[Exception]) -> str:
    with pytest.raises(kind) as refused:
        download(url, folder / "new", "try this")
    line = str(refused.value)
    assert "\n" not in line.replace(url, "")
    return line
