"""Find the files of a text, open them, and decode them piece by piece.

The pieces are small, so that memory does not grow with the text. Each file is decoded separately.
Line ends are kept. A byte-order mark at the start of a UTF-8 file is dropped, because it is not a
character of the text; encoding=bytes keeps its three bytes.
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
import re
import shlex
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, format_reason, shorten
from charrnn.files import require_regular_file

Report = Callable[[int, "int | None"], None]

STDIN = Path("-")  # compared by identity, because the path "-" can also be a file, ./-
# bytes read at once. Decoded pieces of this size stay in the cache, which is twice as fast.
PIECE_SIZE = 1 << 15
_LEAST_BYTES = 100  # by which an encoding is guessed
_DECOMPRESS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

# (first bytes, kind, what to do) of files that are often given by mistake
_SIGNATURES = (
    (b"%PDF-", "a PDF", "convert it to text, for example with pdftotext"),
    (b"\xd0\xcf\x11\xe0", "an old document, or one with a password", "save it as plain text"),
    (b"PK\x03\x04", "a zip archive, like .docx, .odt and .epub files", "save it as plain text"),
    (b"{\\rtf", "RTF, the format of a word processor", "save it as plain text"),
    (b"\x1f\x8b", "compressed by gzip", "rename it so that its name ends in .gz"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "decompress it with unzstd"),
)
# the formats of word processors that pandoc reads, recognized by a file's name
_DOCUMENTS = (".docx", ".odt", ".epub", ".rtf")
# UTF-16 and UTF-32 without a byte-order mark, by those of four bytes that are often NUL
_WITHOUT_MARK = {
    (1, 3): "utf-16-le",
    (0, 2): "utf-16-be",
    (1, 2, 3): "utf-32-le",
    (0, 1, 2): "utf-32-be",
}


def is_compressed(path: Path) -> bool:
    return path.suffix in _DECOMPRESS


def as_name_list(input_txt: str | list[str]) -> list[str]:
    return [input_txt] if isinstance(input_txt, str) else input_txt


def find_files(input_txt: str | list[str]) -> list[Path]:
    """Return the files of a text, in the order in which they are joined.

    Args:
        input_txt: a file, a folder (all ``*.txt`` files below it, sorted, without hidden ones), a
            glob (``**`` for any depth; its files sorted), ``-`` for standard input, or a list of
            files, folders and globs. The name of an existing file is never used as a glob.

    Raises:
        InputError: a file is missing, unreadable or not a regular file, or a folder or a glob
            contains no text.
    """
    if input_txt == "-":
        return [STDIN]
    files = [path for name in as_name_list(input_txt) for path in _find(name)]
    for path in files:
        require_regular_file(path, "name a file, a folder or a glob")
    return files


def _find(name: str) -> list[Path]:
    if os.path.isdir(name):
        files = [*_list_texts(name)]
        problem = "this folder contains no *.txt file"
    elif glob.has_magic(name) and not os.path.lexists(name):
        files = [p for p in map(Path, glob.glob(name, recursive=True)) if not p.is_dir()]
        problem = "no file matches this pattern"
    else:
        return [Path(name)]
    if not files:
        raise InputError(f"{shorten(name)}: {problem}")
    return sorted(files, key=lambda path: path.parts)


def _list_texts(folder: str) -> Iterator[Path]:
    """Yield the *.txt files below a folder, but for hidden ones and the samples of runs."""
    for place, folders, names in os.walk(folder):
        if ".hydra" in folders:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        texts = (name for name in names if name.endswith(".txt") and not name.startswith("."))
        yield from (Path(place, name) for name in texts)


def decode_files(
    files: list[Path],
    encoding: str,
    option: str | None = None,
    report: Report = lambda done, total: None,
) -> Iterator[str]:
    """Yield the text of files in pieces. Raise InputError if one cannot be read or decoded.

    Args:
        encoding: a text encoding, or ``bytes``, which decodes each byte to U+0000 to U+00FF.
        option: the option that sets the encoding; None if the encoding is that of a model.
        report: called with the bytes read and the total bytes. The total is None for standard
            input and compressed files.
    """
    has_size = STDIN not in files and not any(map(is_compressed, files))
    total = sum(path.stat().st_size for path in files) if has_size else None
    previous = done = 0
    for path in files:
        for piece, done in _decode_file(path, encoding, option):
            report(previous + done, total)
            yield piece
        previous += done


def _decode_file(path: Path, encoding: str, option: str | None) -> Iterator[tuple[str, int]]:
    """Yield the pieces of a file, each with the total number of bytes decoded so far."""
    name = "standard input" if path is STDIN else str(path)
    codec = "latin-1" if encoding == "bytes" else codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder("utf-8-sig" if codec == "utf-8" else codec)()
    advice = f"the model reads {encoding}; save the text in this encoding"
    done = 0
    try:
        with _open(path) as file:
            while data := file.read(PIECE_SIZE):
                if not done and encoding != "bytes":
                    _refuse_document(path, data)
                    _check_kind(name, data)
                    guess = _guess_utf(data)
                    if guess and not codec.startswith(("utf-16", "utf-32")):
                        hint = f"give {option}={guess}, or save it as UTF-8" if option else advice
                        raise InputError(f"{name}: is {guess}; {hint}")
                done += len(data)
                yield decoder.decode(data), done
            yield decoder.decode(b"", True), done
    except UnicodeError as error:
        where, reason = "", str(error)
        if isinstance(error, UnicodeDecodeError):
            # error.object ends with the last byte that was given to the decoder.
            offset = done - len(error.object) + error.start
            where, reason = f" at byte {offset} (0x{error.object[error.start]:02x})", error.reason
        if option and isinstance(error, UnicodeDecodeError):
            advice = _advise_encoding(option, error.object)
        raise InputError(f"{name}: not {encoding}{where}: {reason}; {advice}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if is_compressed(path) and getattr(error, "errno", None) is None:
            raise InputError(
                f"{name}: damaged, or not a {path.suffix} file ({error}); get a new copy"
            ) from None
        raise InputError(f"{name}: cannot be read ({format_reason(error)})") from None


def _advise_encoding(option: str, data: bytes) -> str:
    """Return what to do with bytes that are in another encoding.

    A guess may be wrong for some languages, so words are shown in which this can be seen.
    """
    from charset_normalizer import from_bytes  # slow

    advice = f"or {option}=bytes to use each byte as a character"
    guess = from_bytes(data).best() if len(data) >= _LEAST_BYTES else None
    if guess is None or guess.encoding in ("ascii", "utf_8"):
        return f"give its encoding, such as {option}=cp1252 for a text from Windows, {advice}"
    accented = re.findall(r"[^\W_]*[^\x00-\x7f]\w*", str(guess))
    words = ", ".join(list(dict.fromkeys(accented))[:4])
    return (
        f"it looks like {guess.encoding}, if these are its words: {shorten(words)}; give "
        f"{option}={guess.encoding}, {advice}"
    )


def _refuse_document(path: Path, data: bytes) -> None:
    """Raise InputError with a command that converts the file, if it starts like a document."""
    if path.suffix.lower() in _DOCUMENTS and data.startswith((b"PK\x03\x04", b"{\\rtf")):
        command = shlex.join(["pandoc", str(path), "-o", str(path.with_suffix(".txt"))])
        raise InputError(f"{path}: is a document; make a plain text of it: {command}")


def _check_kind(name: str, data: bytes) -> None:
    """Raise InputError if a file starts like one that is not plain text."""
    for signature, kind, hint in _SIGNATURES:
        if data.startswith(signature):
            raise InputError(f"{name}: is {kind}; {hint}")


def _guess_utf(data: bytes) -> str | None:
    """Return utf-16 or utf-32, with the order of bytes, if the first bytes of a text are that."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    places = [data[place::4] for place in range(4)]
    often_nul = tuple(i for i, part in enumerate(places) if part.count(0) * 10 > len(part))
    return _WITHOUT_MARK.get(often_nul) if len(data) >= 100 else None


def _open(path: Path) -> contextlib.AbstractContextManager[Any]:
    if path is not STDIN:
        return _DECOMPRESS.get(path.suffix, open)(path, "rb")
    return contextlib.nullcontext(sys.stdin.buffer)


def as_text(data: bytes) -> str:
    """Convert bytes to the text of encoding=bytes, with bytes above 127 as lone surrogates."""
    return data.decode("ascii", "surrogateescape")


def read_pieces(input_txt: str | list[str], encoding: str) -> Iterator[str]:
    """Yield a text in nonempty pieces that a `Vocabulary` of this encoding can encode.

    A text that is missing, empty, damaged or in another encoding raises InputError.
    """
    is_empty = True
    for piece in filter(None, decode_files(find_files(input_txt), encoding)):
        yield as_text(piece.encode("latin-1")) if encoding == "bytes" else piece
        is_empty = False
    if is_empty:
        raise make_empty_text_error(input_txt)


def make_empty_text_error(input_txt: str | list[str]) -> InputError:
    name = shorten(", ".join(as_name_list(input_txt)))
    return InputError(f"{name}: the text is empty; give another text")


def compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits. Raise InputError if it is unreadable."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(PIECE_SIZE):
                digest.update(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({format_reason(error)})") from None
    return digest.hexdigest()
