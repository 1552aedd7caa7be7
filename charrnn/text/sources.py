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
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, format_reason, shorten
from charrnn.files import require_regular_file

Report = Callable[[int, "int | None"], None]

STDIN = Path("-")  # known by identity: ./- is a file
# bytes read at once: what is made of them then stays in cache and heap, twice as fast
PIECE_SIZE = 1 << 15
_UNPACK: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

# how files begin that are no text in the encoding, and what to do; None: to give theirs
_SIGNATURES = (
    (b"\xff\xfe", "UTF-16", None),
    (b"\xfe\xff", "UTF-16", None),
    (b"%PDF-", "a PDF", "save its text (pdftotext makes a .txt of it) and give that"),
    (b"PK\x03\x04", "a zip archive, as .docx, .odt and .epub are", "save it as plain text"),
    (b"\x1f\x8b", "packed by gzip", "let its name end in .gz"),
)


def is_compressed(path: Path) -> bool:
    return path.suffix in _UNPACK


def as_name_list(input_txt: str | list[str]) -> list[str]:
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
    files = [path for name in as_name_list(input_txt) for path in _find(name)]
    for path in files:
        require_regular_file(path, "name a file, a folder or a glob")
    return files


def _find(name: str) -> list[Path]:
    if os.path.isdir(name):
        below = Path(name).rglob("*.txt")
        found = [p for p in below if not any(q[0] == "." for q in p.relative_to(name).parts)]
    elif glob.has_magic(name) and not os.path.lexists(name):
        found = [p for p in map(Path, glob.glob(name, recursive=True)) if not p.is_dir()]
    else:
        return [Path(name)]
    if not found:
        raise InputError(f"{shorten(name)}: no *.txt below this folder, or no file of this glob")
    return sorted(found, key=lambda path: path.parts)


def decode_files(
    files: list[Path],
    encoding: str,
    advice: str,
    report: Report = lambda done, total: None,
) -> Iterator[str]:
    """The text of some files, one after the other, in pieces of some size.

    Args:
        encoding: a text encoding, or ``bytes``: each byte becomes U+0000 to U+00FF.
        advice: what to do about a text that is in another one.
        report: called with the bytes read and the bytes in all (None: unknown, as of what is
            packed).

    Raises:
        InputError: names the file that cannot be read or unpacked, or the file and the
            offset of the byte that is not in the encoding.
    """
    is_known = STDIN not in files and not any(map(is_compressed, files))
    total = sum(path.stat().st_size for path in files) if is_known else None
    before = done = 0
    for path in files:
        for piece, done in _decoded_file(path, encoding, advice):
            report(before + done, total)
            yield piece
        before += done


def _decoded_file(path: Path, encoding: str, advice: str) -> Iterator[tuple[str, int]]:
    """The pieces of a file, each with the number of its bytes that were decoded by then."""
    name = "standard input" if path is STDIN else str(path)
    codec = "latin-1" if encoding == "bytes" else codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder("utf-8-sig" if codec == "utf-8" else codec)()
    fed, head = 0, b""
    try:
        with _opened(path) as file:
            while data := file.read(PIECE_SIZE):
                head += data[: 8 - len(head)]
                fed += len(data)
                yield decoder.decode(data), fed
            yield decoder.decode(b"", True), fed
    except UnicodeError as error:
        for start, what, instead in _SIGNATURES:
            # what has the mark of UTF-16 and was read as such is merely damaged
            if head.startswith(start) and not codec.startswith("utf-16"):
                raise InputError(f"{name}: is {what}; {instead or advice}") from None
        where, why = "", str(error)
        if isinstance(error, UnicodeDecodeError):
            # the decoder's object ends where the bytes fed so far end
            offset = fed - len(error.object) + error.start
            where, why = f" at byte {offset} (0x{error.object[error.start]:02x})", error.reason
        raise InputError(f"{name}: not {encoding}{where}: {why}; {advice}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if is_compressed(path) and getattr(error, "errno", None) is None:
            raise InputError(
                f"{name}: damaged, or no {path.suffix} file ({error}); fetch or pack it again"
            ) from None
        raise InputError(f"{name}: cannot be read ({format_reason(error)})") from None


def _opened(path: Path) -> contextlib.AbstractContextManager[Any]:
    if path is not STDIN:
        return _UNPACK.get(path.suffix, open)(path, "rb")
    if sys.stdin is None:
        raise InputError("-: there is no standard input to read from")
    return contextlib.nullcontext(sys.stdin.buffer)


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
    for piece in filter(None, decode_files(find_files(input_txt), encoding, advice)):
        yield as_text(piece.encode("latin-1")) if encoding == "bytes" else piece
        is_empty = False
    if is_empty:
        raise make_empty_text_error(input_txt)


def make_empty_text_error(input_txt: str | list[str]) -> InputError:
    name = shorten(", ".join(as_name_list(input_txt)))
    return InputError(f"{name}: the text is empty; give one with characters in it")


def compute_sha256(path: Path) -> str:
    """Of a file's content, 64 hexadecimal digits; InputError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(PIECE_SIZE):
                digest.update(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({format_reason(error)})") from None
    return digest.hexdigest()
