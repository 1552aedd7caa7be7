"""Where a text comes from: finding its files, opening them, decoding them piece by piece.

A text of any size passes through in small pieces, so that memory does not grow with it.
Every file is decoded by itself. Line ends stay as they are. A byte-order mark that begins a
file in UTF-8 is dropped, since it is no character of the text but tells its encoding; with
encoding=bytes its three bytes stay, as every byte does.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import glob
import gzip
import hashlib
import io
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from charrnn.errors import InputError, reason_of, shown
from charrnn.files import require_regular_file

Report = Callable[[int, "int | None"], None]

STDIN = Path("-")  # known by identity: ./- is a file
# bytes read at once: what is made of them then stays in cache and heap, twice as fast
PIECE = 1 << 15
_UNPACK: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

# how files begin that are no text in the encoding, and what to do; None: to give theirs
_SIGNATURES = (
    (b"\xff\xfe\0\0", "UTF-32", None),
    (b"\xff\xfe", "UTF-16", None),
    (b"\xfe\xff", "UTF-16", None),
    (b"%PDF-", "a PDF", "save its text (pdftotext makes a .txt of it) and give that"),
    (b"PK\x03\x04", "a zip archive, as .docx, .odt and .epub are", "save it as plain text"),
    (b"\xd0\xcf\x11\xe0", "a document of Microsoft Office", "save it as plain text"),
    (b"\x89HDF", "HDF5", "if charrnn preprocessed it, give it as input_h5"),
    (b"\x1f\x8b", "packed by gzip", "let its name end in .gz"),
    (b"BZh", "packed by bzip2", "let its name end in .bz2"),
    (b"\xfd7zXZ", "packed by xz", "let its name end in .xz"),
)


def is_packed(path: Path) -> bool:
    return path.suffix in _UNPACK


def names_of(input_txt: str | list[str]) -> list[str]:
    return [input_txt] if isinstance(input_txt, str) else input_txt


def find_files(input_txt: str | list[str]) -> list[Path]:
    """The files of a text, in the order in which they are joined.

    Args:
        input_txt: a file, a folder (its ``*.txt`` below, sorted, hidden ones left out), a
            glob (``**`` for any depth; its files sorted), ``-`` for standard input, or a
            list of files, folders and globs. What exists under a name is never a glob.

    Raises:
        InputError: names what is missing, no regular file, empty of texts or unreadable.
    """
    if input_txt == "-":
        return [STDIN]
    if "-" in names_of(input_txt):
        raise InputError("-: standard input cannot be one of a list; name files, or - alone")
    files = [path for name in names_of(input_txt) for path in _find(name)]
    for path in files:
        require_regular_file(path, "name a file, a folder or a glob")
    return files


def _find(name: str) -> list[Path]:
    if os.path.isdir(name):
        found = _texts_below(name)
    elif glob.has_magic(name) and not os.path.lexists(name):
        matches = map(Path, glob.glob(name, recursive=True))
        found = [path for path in matches if not path.is_dir()]
    else:
        return [Path(name)]
    if not found:
        raise InputError(f"{shown(name)}: no *.txt below this folder, or no file of this glob")
    return sorted(found, key=lambda path: path.parts)


def _texts_below(folder: str) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({reason_of(error)})")

    found: list[Path] = []
    for below, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(below, name) for name in names if name.endswith(".txt") and name[0] != "."]
    return found


def decoded(
    files: list[Path],
    encoding: str,
    advice: str,
    line_ends: str = "keep",
    report: Report = lambda done, total: None,
) -> Iterator[str]:
    """The text of some files, one after the other, in pieces of some size.

    Args:
        encoding: a text encoding, or ``bytes``: each byte becomes U+0000 to U+00FF.
        advice: what to do about a text that is in another one.
        line_ends: unix: ``\\r\\n`` and ``\\r`` become ``\\n``; keep: they stay.
        report: called with the bytes read and the bytes in all (None: unknown); packed files
            count as they are.

    Raises:
        InputError: names the file that cannot be read or unpacked, or the file and the
            offset of the byte that is not in the encoding.
    """
    pieces = _decoded(files, encoding, advice, report)
    return pieces if line_ends == "keep" else _with_unix_line_ends(pieces)


def _decoded(files: list[Path], encoding: str, advice: str, report: Report) -> Iterator[str]:
    total = None if STDIN in files else sum(path.stat().st_size for path in files)
    before = done = 0
    for path in files:
        for piece, done in _decoded_file(path, encoding, advice):
            report(before + done, total)
            yield piece
        before += done


def _with_unix_line_ends(pieces: Iterable[str]) -> Iterator[str]:
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    for piece in pieces:
        yield newlines.decode(piece)
    yield newlines.decode("", final=True)


def _decoded_file(path: Path, encoding: str, advice: str) -> Iterator[tuple[str, int]]:
    """The pieces of a file, each with the number of its bytes that were read by then."""
    name = "standard input" if path is STDIN else str(path)
    codec = "latin-1" if encoding == "bytes" else codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder("utf-8-sig" if codec == "utf-8" else codec)()
    fed, head = 0, b""
    try:
        with _opened(path) as (file, unpacked):
            while data := unpacked.read(PIECE):
                head += data[: 8 - len(head)]
                fed += len(data)
                yield decoder.decode(data), fed if path is STDIN else file.tell()
            yield decoder.decode(b"", True), fed if path is STDIN else file.tell()
    except UnicodeError as error:
        for start, what, instead in _SIGNATURES:
            # what has the mark of UTF-16 and was read as such is merely damaged
            if head.startswith(start) and not codec.startswith(("utf-16", "utf-32")):
                raise InputError(f"{name}: is {what}; {instead or advice}") from None
        where, why = "", str(error)
        if isinstance(error, UnicodeDecodeError):
            # the decoder's object ends where the bytes fed so far end
            offset = fed - len(error.object) + error.start
            where, why = f" at byte {offset} (0x{error.object[error.start]:02x})", error.reason
        raise InputError(f"{name}: not {encoding}{where}: {why}; {advice}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if is_packed(path) and getattr(error, "errno", None) is None:
            raise InputError(
                f"{name}: damaged, or no {path.suffix} file ({error}); fetch or pack it again"
            ) from None
        raise InputError(f"{name}: cannot be read ({reason_of(error)})") from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """A file, and what is read of it: the same, or what is packed in it."""
    if path is STDIN:
        if sys.stdin is None:
            raise InputError("-: there is no standard input to read from")
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    with open(path, "rb") as file:
        if is_packed(path):
            with _UNPACK[path.suffix](file) as unpacked:
                yield file, unpacked
        else:
            yield file, file


def as_text(data: bytes) -> str:
    """Bytes as the text of encoding=bytes is in Python: those above 127 as surrogateescape."""
    return data.decode("ascii", "surrogateescape")


def read_pieces(input_txt: str | list[str], encoding: str) -> Iterator[str]:
    """A text in pieces as `Vocabulary.encode` takes it, none of them empty.

    Args:
        encoding: that of the model that reads the text, so that it cannot be another.

    Raises:
        InputError: it is missing, empty, damaged or not in the encoding.
    """
    is_empty = True
    advice = f"the model reads {encoding}; save the text in that"
    for piece in filter(None, decoded(find_files(input_txt), encoding, advice)):
        yield as_text(piece.encode("latin-1")) if encoding == "bytes" else piece
        is_empty = False
    if is_empty:
        raise is_empty_text(input_txt)


def read_text(input_txt: str | list[str], encoding: str) -> str:
    """The same as a whole, in memory."""
    return "".join(read_pieces(input_txt, encoding))


def is_empty_text(input_txt: str | list[str]) -> InputError:
    name = shown(", ".join(names_of(input_txt)))
    return InputError(f"{name}: the text is empty; give one with characters in it")


def sha256_of(path: Path) -> str:
    """Of a file's content, 64 hexadecimal digits; InputError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(PIECE):
                digest.update(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason_of(error)})") from None
    return digest.hexdigest()


def content_digest(files: Iterable[Path]) -> str:
    """Identifies the content of files, whatever their names and times."""
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()
