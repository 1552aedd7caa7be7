"""Where a text comes from: finding its files, opening them, decoding them piece by piece.

A text of any size passes through in small pieces, so that memory does not grow with it.
Every file is decoded by itself. Line ends stay as they are. A byte-order mark that begins a
file in UTF-8 is dropped, since it is no character of the text but tells its encoding; with
encoding=bytes its three bytes stay, as every byte does.
"""

from __future__ import annotations

import bz2
import codecs
import glob
import gzip
import hashlib
import io
import itertools
import lzma
import os
import stat
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from charrnn.errors import InputError, reason_of, shown

STDIN = Path("-")  # known by identity: ./- is a file
# bytes read at once: what is made of them then stays in cache and heap, twice as fast
_PIECE = 1 << 15
_UNPACK: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda packed: gzip.GzipFile(fileobj=packed, mode="rb"),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}


# how text in a wide encoding begins
_WIDE = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
# how files that are no plain text begin, and what to do with them
_SIGNATURES = (
    (b"%PDF-", "is a PDF; save its text (pdftotext makes a .txt of it) and give that"),
    (b"PK\x03\x04", "is a zip archive, as .docx, .odt and .epub are; save it as plain text"),
    (b"\xd0\xcf\x11\xe0", "is a document of Microsoft Office; save it as plain text"),
    (b"\x89HDF", "is HDF5; if charrnn preprocessed it, give it as input_h5"),
    (b"\x1f\x8b", "is packed by gzip; let its name end in .gz"),
    (b"BZh", "is packed by bzip2; let its name end in .bz2"),
    (b"\xfd7zXZ", "is packed by xz; let its name end in .xz"),
)


def is_packed(path: Path) -> bool:
    return path.suffix in _UNPACK


def find_files(input_txt: str | Sequence[str]) -> list[Path]:
    """The files of a text, in the order in which they are joined.

    Args:
        input_txt: a file, a folder (its ``*.txt`` below, sorted, hidden ones left out), a
            glob (``**`` for any depth; its files sorted), ``-`` for standard input, or a
            list of files, folders and globs. What exists under a name is never a glob.

    Raises:
        InputError: names what is missing, empty of texts or unreadable.
    """
    if isinstance(input_txt, str):
        return [STDIN] if input_txt == "-" else _find(input_txt)
    if "-" in input_txt:
        raise InputError("-: standard input cannot be one of a list; name files, or - alone")
    return [path for name in input_txt for path in _find(name)]


def is_one_place(input_txt: str | Sequence[str]) -> bool:
    """Whether a text is one file or one folder, so that something can stand beside it."""
    return isinstance(input_txt, str) and input_txt != "-" and os.path.lexists(input_txt)


def _find(name: str) -> list[Path]:
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if os.path.lexists(path):
            raise InputError(f"{shown(name)}: a link to a file that does not exist") from None
        return _match(name)
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(name)}: cannot be read ({reason_of(error)})") from None
    if not stat.S_ISDIR(mode):
        return [path]
    found = sorted(_texts_below(path), key=lambda text: text.parts)
    if not found:
        raise InputError(f"{name}: a folder without a *.txt file below it; name a file or a glob")
    return found


def _match(name: str) -> list[Path]:
    if not glob.has_magic(name):
        raise InputError(f"{shown(name)}: no such file or folder")
    matches = [Path(match) for match in glob.glob(name, recursive=True)]
    files = sorted((path for path in matches if path.is_file()), key=lambda text: text.parts)
    if not files:
        raise InputError(f"{shown(name)}: no file has this name or matches it as a glob")
    return files


def _texts_below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({reason_of(error)})")

    for below, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.endswith(".txt") or name.startswith("."):
                continue
            path = Path(below, name)
            # a pipe would be waited for; a broken link is refused when it is opened
            if path.is_file() or not path.exists():
                yield path


def _with_unix_line_ends(pieces: Iterable[str]) -> Iterator[str]:
    decoder = io.IncrementalNewlineDecoder(None, translate=True)
    for piece in pieces:
        if text := decoder.decode(piece):
            yield text
    if text := decoder.decode("", final=True):
        yield text


class Text:
    """The text of some files, decoded from start to end.

    Attributes:
        size: bytes of all files together, packed ones as they are; None when that is
            unknown (standard input, a pipe).
        done: bytes read so far.
    """

    def __init__(
        self,
        files: Sequence[Path],
        encoding: str,
        stdin: BinaryIO | None = None,
        advice: str | None = None,
        prefix: str = "",
        line_ends: str = "keep",
    ) -> None:
        """`encoding` is a text encoding, or ``bytes``: each byte becomes U+0000 to U+00FF.

        With `line_ends` of ``unix``, ``\\r\\n`` and ``\\r`` become ``\\n``; ``keep`` leaves them.

        `advice` is what to do about a text that is not in it; None: say its encoding, by the
        option whose name follows `prefix`.
        """
        self.done = 0
        self._files = files
        self._encoding = encoding
        self._stdin = stdin
        self._advice = advice
        self._prefix = prefix
        self._line_ends = line_ends
        self._digests = hashlib.sha256()
        found = [_stat(path) for path in files if path is not STDIN]
        known = bool(found) and all(stat.S_ISREG(status.st_mode) for status in found)
        self.size = sum(status.st_size for status in found) if known else None

    def pieces(self) -> Iterator[str]:
        """The text, once, in pieces of some size; none is empty.

        Raises:
            InputError: names the file that cannot be read or unpacked, or the file and the
                offset of the byte that is not in the encoding.
        """
        pieces = (piece for path in self._files for piece in self._pieces_of(path))
        return _with_unix_line_ends(pieces) if self._line_ends == "unix" else pieces

    def digest(self) -> str:
        """Identifies the content of all files, once `pieces` is used up; as `content_digest`."""
        return self._digests.hexdigest()

    def _pieces_of(self, path: Path) -> Iterator[str]:
        name = "standard input" if path is STDIN else str(path)
        codec = "latin-1" if self._encoding == "bytes" else self._encoding
        decoder = codecs.getincrementaldecoder(codec)("strict")
        fed, before, head = 0, self.done, b""
        has_mark = codec != "latin-1" and codecs.lookup(codec).name == "utf-8"
        file = self._open(path, name)
        try:
            raw = _Tap(file)
            stream = _UNPACK[path.suffix](raw) if is_packed(path) else raw
            at_end = False
            while not at_end:
                data = _read(stream, path, name)
                head += data[: 8 - len(head)]
                at_end = not data
                fed += len(data)
                self.done = before + raw.done
                try:
                    piece = decoder.decode(data, at_end)
                except UnicodeError as error:
                    why = _not_in_encoding(
                        self._encoding, fed, error, head, self._advice, self._prefix
                    )
                    raise InputError(f"{name}: {why}") from None
                if piece and has_mark:
                    piece, has_mark = piece.removeprefix("\ufeff"), False
                if piece:
                    yield piece
            # what an unpacker leaves behind the end of its data belongs to the file too
            while raw.read(_PIECE):
                pass
            self._digests.update(raw.sha256.digest())
        finally:
            if path is not STDIN:
                file.close()

    def _open(self, path: Path, name: str) -> BinaryIO:
        if path is STDIN:
            stdin = self._stdin or getattr(sys.stdin, "buffer", None)
            if stdin is None:
                raise InputError("-: there is no standard input to read from")
            return stdin
        try:
            return open(path, "rb", buffering=0)
        except (OSError, ValueError) as error:
            raise InputError(f"{name}: cannot be read ({reason_of(error)})") from None


class _Tap:
    """A binary file that counts and hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self.done = 0
        self.sha256 = hashlib.sha256()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size) or b""
        self.sha256.update(data)
        self.done += len(data)
        return data


def _read(stream: Any, path: Path, name: str) -> bytes:
    try:
        return stream.read(_PIECE)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if is_packed(path) and getattr(error, "errno", None) is None:
            raise InputError(
                f"{name}: damaged, or no {path.suffix} file ({error}); fetch or pack it again"
            ) from None
        raise InputError(f"{name}: cannot be read ({reason_of(error)})") from None


def _not_in_encoding(
    encoding: str, fed: int, error: UnicodeError, head: bytes, advice: str | None, prefix: str
) -> str:
    # what has the mark of UTF-16 and was read as such is merely damaged
    if not _is_wide(encoding):
        for signature, what in _SIGNATURES:
            if head.startswith(signature):
                return what
        for mark, wide in _WIDE:
            if head.startswith(mark):
                return f"is {wide}; {advice or f'give {prefix}encoding={wide.lower()}'}"
    where, why = "", str(error)
    if isinstance(error, UnicodeDecodeError):
        # the decoder's object ends where the bytes fed so far end
        offset = fed - len(error.object) + error.start
        where, why = f" at byte {offset} (0x{error.object[error.start]:02x})", error.reason
    advice = advice or (
        f"give its encoding ({prefix}encoding=latin-1, say), or {prefix}encoding=bytes to take "
        f"each byte as a character"
    )
    return f"not {encoding}{where}: {why}; {advice}"


def _is_wide(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason_of(error)})") from None


def stat_digest(files: Sequence[Path]) -> tuple[str, int]:
    """What can be told of files without reading them.

    Returns:
        a digest of their names, sizes and times, and the latest of those times (nanoseconds).
    """
    listing, latest = hashlib.sha256(), 0
    for path in files:
        if path is not STDIN:
            status = _stat(path)
            times = (status.st_mtime_ns, status.st_ctime_ns)
            listing.update(repr((os.fsencode(path.absolute()), status.st_size, times)).encode())
            latest = max(latest, *times)
    return listing.hexdigest(), latest


def content_digest(files: Sequence[Path]) -> str:
    """Identifies the content of files, whatever their names and times, by reading them."""
    digests = hashlib.sha256()
    for path in files:
        sha256 = hashlib.sha256()
        try:
            with open(path, "rb", buffering=0) as file:
                while data := file.read(_PIECE):
                    sha256.update(data)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({reason_of(error)})") from None
        digests.update(sha256.digest())
    return digests.hexdigest()


# -- Lists: texts whose lines stand each for itself, such as names, words or titles. A list is
# sorted as a rule, and its last tenth, which a text is validated on, then begins with letters
# that were never trained on. So the lines of a list are shuffled before the splits are cut, and
# the splits at line ends. No line stands in two splits, however often the list has it: what is
# validated on was not trained on.


# a text is told by as many characters of its beginning, so that it may have any size
HEAD = 1 << 16
# a list has so many lines that follow one another in order, short ones at least every other
PAIRS, IN_ORDER, SHORT = 40, 0.9, 60


def remark(prefix: str) -> str:
    """What is said of a list that was found, the option by its name in the command."""
    return (
        f"the lines are short and sorted, as a list's are, so they were shuffled before the splits "
        f"were cut ({prefix}lines=shuffle); {prefix}lines=keep leaves them as they are"
    )


def decided(lines: str, pieces: Iterator[str]) -> tuple[str, Iterator[str]]:
    """``keep`` or ``shuffle``, where a text decides if ``auto`` is asked for; and its pieces."""
    if lines != "auto":
        return lines, pieces
    taken, size = [], 0
    for piece in pieces:
        taken.append(piece)
        if (size := size + len(piece)) >= HEAD:
            break
    lines = "shuffle" if are_listed("".join(taken)[:HEAD]) else "keep"
    return lines, itertools.chain(taken, pieces)


def are_listed(head: str) -> bool:
    """Whether a text that begins so is a sorted list of short lines.

    Order is that of the characters, capital or small; lines that are empty, or repeat the one
    before them, say nothing of it.
    """
    # the last line of a head may be cut
    lines = [line for line in head.split("\n")[:-1] if line.strip()]
    folded = [line for line, _ in itertools.groupby(map(str.casefold, lines))]
    pairs = list(itertools.pairwise(folded))
    if len(pairs) < PAIRS:
        return False
    in_order = sum(one < other for one, other in pairs)
    return in_order >= IN_ORDER * len(pairs) and _median(map(len, lines)) <= SHORT


def _median(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def shuffled(text: str, sizes: Mapping[str, int]) -> dict[str, str]:
    """The splits of a text whose lines are shuffled, each a text of whole lines.

    All copies of a line go where its first one goes: into val or test where these still have
    room for all of them, else into train.

    Args:
        sizes: characters that the splits may have, under train, val and test; val and test get
            no more than that.
    """
    if not text.endswith("\n"):
        text += "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    lines = text.split("\n")[:-1]
    copies = Counter(lines)
    room = {name: size for name, size in sizes.items() if name != "train"}
    split_of: dict[str, str] = {}
    splits: dict[str, list[str]] = {name: [] for name in sizes}
    for index in np.random.default_rng(0).permutation(len(lines)):
        line = lines[index]
        if line not in split_of:
            size = copies[line] * (len(line) + 1)
            split_of[line] = next((name for name in room if size <= room[name]), "train")
            if split_of[line] != "train":
                room[split_of[line]] -= size
        splits[split_of[line]].append(line)
    return {name: "".join(f"{line}\n" for line in found) for name, found in splits.items()}
