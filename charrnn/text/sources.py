"""Find the files of a text, open them, and decode them one by one.

The line ends of Windows become newlines, and the lines of wrapped prose can be joined. A byte-order
mark at the start of a UTF-8 file is dropped, because it is not a character of the text.
encoding=bytes keeps all bytes.
"""

from __future__ import annotations

import bz2
import codecs
import glob
import gzip
import lzma
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from charrnn.errors import InputError, format_reason, shorten, suggest_name
from charrnn.files import require_regular_file
from charrnn.text.corpora import CORPORA, fetch_corpus
from charrnn.text.kinds import HEAD
from charrnn.text.wrap import is_wrapped, join_lines

STDIN = Path("-")  # compared by identity, because the path "-" can also be a file, ./-
_DECOMPRESS = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}

_DOCUMENTS = (b"{\\rtf", b"%PDF-")  # the first bytes of RTF and PDFs, which may be valid UTF-8
_SAVE_AS_TEXT = (
    "save it as plain text in UTF-8 (pandoc FILE -o FILE.txt does so for most documents)"
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
        found, problem = _list_texts(Path(name)), "this folder contains no *.txt file"
    elif glob.has_magic(name) and not os.path.lexists(name):
        found, problem = map(Path, glob.iglob(name, recursive=True)), "no file matches this pattern"
    else:
        return [Path(name)]
    files = sorted((path for path in found if not path.is_dir()), key=lambda path: path.parts)
    if not files:
        raise InputError(f"{shorten(name)}: {problem}")
    return files


def _list_texts(folder: Path) -> Iterator[Path]:
    """Yield the *.txt files below a folder, but for hidden ones and the samples of runs."""
    for path in folder.rglob("*.txt"):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and not (path.parent / "../.hydra").exists():
            yield path


class TextFile(NamedTuple):
    """A file of a text, in memory."""

    path: Path
    content: bytes  # decompressed

    def is_wrapped(self, encoding: str) -> bool:
        """Return whether the file is wrapped prose, by its first lines."""
        decoder = codecs.getincrementaldecoder(_get_codec(encoding))("replace")
        return encoding != "bytes" and is_wrapped(decoder.decode(self.content[: 4 * HEAD]))

    def decode(self, encoding: str, wrap: str = "keep") -> str:
        """Return the text. Raise InputError if it is not in the encoding.

        Args:
            encoding: a text encoding, or ``bytes``, which decodes each byte above 127 to the lone
                surrogate of ``surrogateescape``.
            wrap: ``join`` joins the lines of paragraphs that are wrapped at a width, ``auto`` does
                so if the file is wrapped prose, and ``keep`` never does. Bytes are never joined.
        """
        content, codec = self.content, _get_codec(encoding)
        if encoding == "bytes":
            return content.decode(codec, "surrogateescape")
        if content.startswith(_DOCUMENTS):
            raise InputError(f"{self.path}: is RTF or a PDF; {_SAVE_AS_TEXT}")
        try:
            text = content.decode(codec).replace("\r\n", "\n")
        except UnicodeError as error:
            raise InputError(
                f"{self.path}: not {encoding} ({error}); {_SAVE_AS_TEXT}, or give its encoding in "
                f"training: data.encoding=cp1252 or utf-16 (from Windows), or data.encoding=bytes"
            ) from None
        return join_lines(text) if wrap == "join" or (wrap == "auto" and is_wrapped(text)) else text


def _get_codec(encoding: str) -> str:
    """Return the codec of an encoding. That of UTF-8 drops a byte-order mark."""
    name = "ascii" if encoding == "bytes" else codecs.lookup(encoding).name
    return "utf-8-sig" if name == "utf-8" else name


def read_files(input_txt: str | list[str]) -> list[TextFile]:
    """Read the files of a text (see `find_files`). Raise InputError if one cannot be read."""
    return [*map(_read_file, find_files(input_txt))]


def _read_file(path: Path) -> TextFile:
    try:
        content = sys.stdin.buffer.read() if path is STDIN else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({format_reason(error)})") from None
    try:
        return TextFile(path, _DECOMPRESS.get(path.suffix, bytes)(content))
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        reason = f"damaged, or not a {path.suffix} file ({error}); get a new copy"
        raise InputError(f"{path}: {reason}") from None


def read_pieces(input_txt: str | list[str], encoding: str, wrap: str = "keep") -> Iterator[str]:
    """Yield the texts of nonempty files, which a `Vocabulary` of this encoding can encode.

    A text that is missing, empty, damaged or in another encoding raises InputError.
    """
    is_empty = True
    for path in find_files(input_txt):
        if piece := _read_file(path).decode(encoding, wrap):
            yield piece
            is_empty = False
    if is_empty:
        raise make_empty_text_error(input_txt)


def make_empty_text_error(input_txt: str | list[str]) -> InputError:
    name = shorten(", ".join(as_name_list(input_txt)))
    return InputError(f"{name}: the text is empty; give another text")
