"""Find the files of a text, open them, and decode them one by one.

Line ends are kept, unless the lines of wrapped prose are joined. A byte-order mark at the start of
a UTF-8 file is dropped, because it is not a character of the text; encoding=bytes keeps its three
bytes.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import glob
import gzip
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, format_reason, shorten, suggest_name
from charrnn.files import require_regular_file
from charrnn.text.corpora import CORPORA, fetch_corpus
from charrnn.text.wrap import is_wrapped, join_lines

STDIN = Path("-")  # compared by identity, because the path "-" can also be a file, ./-
_DECOMPRESS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

_CONVERT = "make a plain text of it, for example with pandoc FILE -o FILE.txt"
# (first bytes, kind, what to do) of files that are often given by mistake
_SIGNATURES = (
    (b"%PDF-", "a PDF", "convert it to text, for example with pdftotext"),
    (b"\xd0\xcf\x11\xe0", "an old document, or one with a password", "save it as plain text"),
    (b"PK\x03\x04", "a zip archive, like .docx, .odt and .epub files", _CONVERT),
    (b"{\\rtf", "RTF, the format of a word processor", _CONVERT),
    (b"\x1f\x8b", "compressed by gzip", "rename it so that its name ends in .gz"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "decompress it with unzstd"),
    (codecs.BOM_UTF16_LE, "UTF-16", "save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16", "save it as UTF-8"),
)


def is_compressed(path: Path) -> bool:
    return path.suffix in _DECOMPRESS


def as_name_list(input_txt: str | list[str]) -> list[str]:
    return [input_txt] if isinstance(input_txt, str) else input_txt


def find_files(input_txt: str | list[str]) -> list[Path]:
    """Return the files of a text, in the order in which they are joined.

    Args:
        input_txt: a corpus, which is downloaded if necessary, a file, a folder (all ``*.txt`` files
            below it, sorted, without hidden ones), a glob (``**`` for any depth; its files sorted),
            ``-`` for standard input, or a list of corpora, files, folders and globs. The name of an
            existing file is never used as a glob.

    Raises:
        InputError: a file is missing, unreadable or not a regular file, or a folder or a glob
            contains no text.
        RunError: a corpus cannot be downloaded.
    """
    if input_txt == "-":
        return [STDIN]
    files = [path for name in as_name_list(input_txt) for path in _find(name)]
    for path in files:
        require_regular_file(path, "name a file, a folder or a glob")
    return files


def require_text(name: str) -> None:
    """Raise InputError if there is neither a corpus nor a file of this name."""
    if name not in CORPORA:
        try:
            find_files(name)
        except InputError as error:
            raise InputError(f"{error}{suggest_name(name, CORPORA)}") from None


def _find(name: str) -> list[Path]:
    if name in CORPORA:
        return [fetch_corpus(name)]
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
    files: list[Path], encoding: str, wrap: str = "keep", option: str | None = None
) -> Iterator[str]:
    """Yield the text of each file. Raise InputError if one cannot be read or decoded.

    Args:
        encoding: a text encoding, or ``bytes``, which decodes each byte to U+0000 to U+00FF.
        wrap: ``join`` joins the lines of paragraphs that are wrapped at a width, ``auto`` does so
            in the files that are wrapped prose, and ``keep`` never does. Bytes are never joined.
        option: the option that sets the encoding; None if the encoding is that of a model.
    """
    advice = f"the model reads {encoding}; save the text in this encoding"
    if option is not None:
        advice = (
            f"give its encoding, such as {option}=cp1252 for a text from Windows, or "
            f"{option}=bytes to use each byte as a character"
        )
    for path in files:
        text = _decode_file(path, encoding, advice)
        is_joined = wrap == "join" or (wrap == "auto" and is_wrapped(text))
        yield join_lines(text) if is_joined and encoding != "bytes" else text


def _decode_file(path: Path, encoding: str, advice: str) -> str:
    name = "standard input" if path is STDIN else str(path)
    codec = "latin-1" if encoding == "bytes" else codecs.lookup(encoding).name
    try:
        with _open(path) as file:
            data: bytes = file.read()
        if codec == "utf-8":
            _check_kind(name, data)
            codec = "utf-8-sig"
        return data.decode(codec)
    except UnicodeError as error:
        where, reason = "", str(error)
        if isinstance(error, UnicodeDecodeError):
            where, reason = f" at byte {error.start} (0x{data[error.start]:02x})", error.reason
        raise InputError(f"{name}: not {encoding}{where}: {reason}; {advice}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if is_compressed(path) and getattr(error, "errno", None) is None:
            raise InputError(
                f"{name}: damaged, or not a {path.suffix} file ({error}); get a new copy"
            ) from None
        raise InputError(f"{name}: cannot be read ({format_reason(error)})") from None


def _check_kind(name: str, data: bytes) -> None:
    """Raise InputError if a file starts like one that is not plain text."""
    for signature, kind, hint in _SIGNATURES:
        if data.startswith(signature):
            raise InputError(f"{name}: is {kind}; {hint}")


def _open(path: Path) -> contextlib.AbstractContextManager[Any]:
    if path is not STDIN:
        return _DECOMPRESS.get(path.suffix, open)(path, "rb")
    return contextlib.nullcontext(sys.stdin.buffer)


def as_text(data: bytes) -> str:
    """Convert bytes to the text of encoding=bytes, with bytes above 127 as lone surrogates."""
    return data.decode("ascii", "surrogateescape")


def read_pieces(input_txt: str | list[str], encoding: str, wrap: str = "keep") -> Iterator[str]:
    """Yield the texts of nonempty files, which a `Vocabulary` of this encoding can encode.

    A text that is missing, empty, damaged or in another encoding raises InputError.
    """
    is_empty = True
    for piece in filter(None, decode_files(find_files(input_txt), encoding, wrap)):
        yield as_text(piece.encode("latin-1")) if encoding == "bytes" else piece
        is_empty = False
    if is_empty:
        raise make_empty_text_error(input_txt)


def make_empty_text_error(input_txt: str | list[str]) -> InputError:
    name = shorten(", ".join(as_name_list(input_txt)))
    return InputError(f"{name}: the text is empty; give another text")
