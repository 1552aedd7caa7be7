"""Documents of word processors as texts."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.extras.documents import office_documents
from charrnn.extras.documents.office_documents import read_document
from charrnn.text.sources import decode_files
from tests.small_runs import Capture

pypandoc = pytest.importorskip("pypandoc")
pytest.importorskip("striprtf")
pytestmark = pytest.mark.usefixtures("workplace")

MARKDOWN = """# Kapitel „eins“

Das *ist* **fett**, mit é, 漢字 und 🎭.[^1]

[^1]: Eine Fußnote.

Zeile eins,\\
Zeile zwei.

- Punkt
- noch einer

| Äpfel | drei |
|-------|------|
"""
PROSE = "Once upon a time there was a text, and it was read by a machine.\n\n"
LINES = """Kapitel „eins“
Das ist fett, mit é, 漢字 und 🎭.
Eine Fußnote.
Zeile eins,
Zeile zwei.
Punkt
noch einer
Äpfel
drei
""".splitlines()
RTF = rb"""{\rtf1\ansi\ansicpg1250\uc1{\fonttbl{\f0\fcharset238 Calibri;}{\f1\fcharset204 C;}}
\pard\f0 P\'f8\'edli\'9a \'9elu\'9dou\'e8k\'fd\b  k\'f9\'f2\b0 .\par
\f1\'cf\'f0\'e8\'e2\'e5\'f2 \u-10179?\u-8694?\par
{\field{\*\fldinst{HYPERLINK "https://x.y"}}{\fldrslt link}} {\pict\wmetafile8 PICT}\line end.\par}
""".replace(b"PICT", b"0badcafe" * 100)


def make(kind: str, markdown: str = MARKDOWN) -> bytes:
    pypandoc.convert_text(markdown, kind, "markdown", outputfile=f"made.{kind}")
    return Path(f"made.{kind}").read_bytes()


def change(document: bytes, name: str, edit: Callable[[bytes], bytes]) -> bytes:
    """Return an archive in which the content of a file is another, which may be new."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document)) as old, zipfile.ZipFile(output, "w", 8) as new:
        for member in old.namelist():
            new.writestr(member, edit(old.read(member)) if member == name else old.read(member))
        if name not in old.namelist():
            new.writestr(name, edit(b""))
    return output.getvalue()


@pytest.mark.parametrize("kind", ["docx", "odt", "epub"])
def test_paragraphs_of_a_document_are_lines(kind: str) -> None:
    text = read_document(make(kind)) or ""
    assert [line.rstrip() for line in text.splitlines() if line] == LINES
    assert text.endswith("\n")
    assert "\n\n\n" not in text


def test_rtf_is_read_in_every_alphabet() -> None:
    text = "Příliš žluťoučký kůň.\nПривет 😊\nlink \nend.\n"
    assert (read_document(RTF) or "").replace("link  \n", "link \n") == text


@pytest.mark.parametrize(
    ("make_document", "line"),
    [
        (lambda: make("docx")[:5000], "is a damaged document; get a new copy"),
        (lambda: change(make("docx"), "word/document.xml", lambda x: x[9:]), "is a damaged doc"),
        # a compression that Python does not know
        (lambda: re.sub(rb"(?s)(PK\x01\x02.{6})\x08", rb"\1\t", make("docx")), "is a damaged doc"),
        (lambda: make("docx", ""), "is a document without text; give another one"),
        (lambda: change(make("odt"), "META-INF/manifest.xml", lambda x: x + b"encryption-data"),
         "has a password; save it without one"),
        (lambda: change(make("epub"), "META-INF/encryption.xml", lambda x: b'URI="a.xhtml"'),
         "has a password"),
        # a zip bomb
        (lambda: change(make("docx"), "word/document.xml", lambda x: x + bytes(101_000_000)),
         "is too large a document; save it as plain text"),
        (lambda: b"{\\rtf" + bytes(100_000_000), "is too large a document"),
    ],
)  # fmt: skip
def test_a_damaged_document_is_refused(make_document: Callable[[], bytes], line: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(line)}"):
        read_document(make_document())


def test_time_and_memory_of_a_document_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    document = make("docx", "word\n\n" * 10_000)
    monkeypatch.setattr(office_documents, "MEMORY", "20M")
    with pytest.raises(InputError, match="is too large a document"):
        read_document(document)
    monkeypatch.setattr(office_documents, "MOST_SECONDS", 0.01)
    with pytest.raises(InputError, match="is too large a document"):
        read_document(RTF)


def test_only_documents_are_converted() -> None:
    assert read_document(change(make("docx"), "[Content_Types].xml", lambda x: b"sheet")) is None
    assert read_document(b"PK\3\4 and so on") is None


def test_documents_name_their_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "striprtf", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not office_documents.can_read_documents()
    with pytest.raises(InputError, match=r"^is a document; to read it, .*pip install "):
        read_document(RTF)
    Path("plain.txt").write_text("plain text")
    assert [*decode_files([Path("plain.txt")], "utf-8")] == ["plain text", ""]


def test_commands_take_a_document_of_any_name_as_a_text(capfd: Capture) -> None:
    """Check that the name does not matter, and that the document is recorded."""
    pytest.importorskip("pydivsufsort")
    Path("my.docx").write_bytes(make("docx", PROSE * 50))
    Path("other.dat").write_bytes(make("odt", PROSE * 20))
    small = ["model.hidden_size=8", "model.num_layers=1", "threads=1", "trainer.accelerator=cpu"]
    words = ["train", "my.docx", "data.background=other.dat", *small, "hydra.run.dir=run"]
    assert main([*words, "trainer.max_steps=2"]) == 0
    assert main(["train", "resume=run", "trainer.max_steps=3"]) == 0
    assert main(["sample", "run", "corpus=my.docx", "novel=60", "length=40"]) == 0
    assert "preprocessed from" in capfd.readouterr().err
    assert main(["preprocess", "my.docx", "encoding=bytes", "output_h5=bytes.h5"]) == 0
    assert main(["preprocess", "my.docx", "output_h5=x.h5"]) == 0
    counts = capfd.readouterr().out.split("Total tokens in file: ")
    assert counts[1].split()[0] == str(Path("my.docx").stat().st_size)
    Path("cut.docx").write_bytes(Path("my.docx").read_bytes()[:4000])
    assert main(["train", "cut.docx"]) == 2
    line = f"charrnn train: {Path('cut.docx').absolute()}: is a damaged document; get a new copy\n"
    assert capfd.readouterr().err.endswith(line)
