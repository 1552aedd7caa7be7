"""Read the text of .docx, .odt, .epub and .rtf: a line for each paragraph.

The lines are those of the plain text that a word processor saves, so a list or a poem in a document
stays one. Headings, cells and footnotes are lines too; pictures are left out.

pandoc reads archives. It keeps insertions, content controls, footnotes and cells, which python-docx
and odfdo lose, and EbookLib is not free for every use. As a process it has limits of memory and
time. But it reads letters in RTF as if all of them were Western; striprtf reads the others, too.
"""

from __future__ import annotations

import importlib.util
import io
import mimetypes
import re
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from charrnn.errors import InputError, format_install_command
from charrnn.text.sources import LARGEST_DOCUMENT

MOST_SECONDS = 30.0
MEMORY = "1G"  # pandoc needs 400 MB for a megabyte of text
_LARGEST_MEMBER = 1 << 20  # bytes of a file by which a format is recognized
_PACKAGES = ("pypandoc", "striprtf")
_PICTURES = ("image/", "audio/", "video/", "font/")
_PASSWORD = "has a password; save it without one"
_DAMAGED = "is a damaged document; get a new copy"
_TOO_LARGE = "is too large a document; save it as plain text"
_one_at_a_time = threading.Lock()  # because several in a server would need several times the memory


class Format(NamedTuple):
    """A format of archives: pandoc's name for it, and a file of the archive that has `mark`."""

    pandoc_name: str
    member: str
    mark: bytes


_WORD = b"wordprocessingml.document.main+xml"
FORMATS = {
    ".docx": Format("docx+empty_paragraphs", "[Content_Types].xml", _WORD),
    ".odt": Format("odt", "mimetype", b"application/vnd.oasis.opendocument.text"),
    ".epub": Format("epub", "mimetype", b"application/epub+zip"),
}
# files of an archive with a password, each with a pattern
_ENCRYPTED = {
    "META-INF/manifest.xml": rb"encryption-data",
    "META-INF/encryption.xml": rb"""\.x?html?["']""",  # rather than fonts only
}


def can_read_documents() -> bool:
    """Return whether the packages of this extra are installed."""
    return all(importlib.util.find_spec(name) for name in _PACKAGES)


def read_document(data: bytes) -> str | None:
    """Return the text of an archive or of RTF, or None if the archive is no document.

    Raise InputError if it cannot be read. Its line does not name the file.
    """
    kind: str | None = ".rtf"
    if len(data) > LARGEST_DOCUMENT:
        raise InputError(_TOO_LARGE)
    if data.startswith(b"PK"):
        kind, data = _unpack(data)
        if kind is None:
            return None
    if not can_read_documents():
        command = format_install_command("documents")
        raise InputError(f"is a document; to read it, {command}, or save it as plain text")
    text = _run(_make_command(str(kind)), data).replace("\r\n", "\n").replace("\xad", "")
    text = re.sub(r"\n\s*\n", "\n\n", text).strip()  # at most one empty line between others
    if not text:
        raise InputError("is a document without text; give another one")
    return text + "\n"


def _unpack(data: bytes) -> tuple[str | None, bytes]:
    """Return the format of an archive, and the archive without pictures and compression."""
    output = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            kind = _recognize(archive)
            files = [file for file in archive.infolist() if not _is_picture(file.filename)]
            if kind is None:
                return None, b""
            if sum(file.file_size for file in files) > LARGEST_DOCUMENT:
                raise InputError(_TOO_LARGE)
            content = {file.filename: archive.read(file) for file in files}
        if any(re.search(word, content.get(name, b"")) for name, word in _ENCRYPTED.items()):
            raise InputError(_PASSWORD)
        with zipfile.ZipFile(output, "w") as new:
            for name, member in content.items():
                new.writestr(name, member)
    except NotImplementedError:  # a compression that zipfile does not know
        raise InputError(_DAMAGED) from None
    except RuntimeError:  # zipfile needs a password
        raise InputError(_PASSWORD) from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError):
        # The first file of an archive has its name before everything else.
        if any(format_.member.encode() in data[:100] for format_ in FORMATS.values()):
            raise InputError(_DAMAGED) from None
        return None, b""
    return kind, output.getvalue()


def _recognize(archive: zipfile.ZipFile) -> str | None:
    for kind, (_, name, mark) in FORMATS.items():
        if name in archive.namelist():
            with archive.open(name) as member:
                if mark in member.read(_LARGEST_MEMBER):
                    return kind
    return None


def _is_picture(name: str) -> bool:
    return (mimetypes.guess_type(name)[0] or "").startswith(_PICTURES)


def _make_command(kind: str) -> list[str]:
    """Return the command that reads a document from standard input and writes its text."""
    if kind == ".rtf":
        return [sys.executable, "-m", "charrnn.extras.documents.rtf_reader"]
    from pypandoc import get_pandoc_path

    try:
        pandoc = get_pandoc_path()
    except OSError:  # the package without the program
        raise InputError(f"needs pandoc; {format_install_command('documents')}") from None
    limits = ["+RTS", f"-M{MEMORY}", "-RTS", "--sandbox"]
    writer = str(Path(__file__).with_name("paragraphs.lua"))
    return [pandoc, *limits, "--from", FORMATS[kind].pandoc_name, "--to", writer]


def _run(command: list[str], data: bytes) -> str:
    """Return the text that a command makes of a document. Raise InputError if it cannot."""
    try:
        with _one_at_a_time:
            done = subprocess.run(command, input=data, capture_output=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        raise InputError(_TOO_LARGE) from None
    if done.returncode:
        raise InputError(_TOO_LARGE if b"heap" in done.stderr.lower() else _DAMAGED)
    return done.stdout.decode()
