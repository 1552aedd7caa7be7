"""A text becomes ids in HDF5 and a vocabulary in JSON: torch-rnn's two files.

One pass, in pieces: a piece is decoded, and one look-up over its code points gives all
its ids at once; a character that has none yet gets the next one. The sizes of the splits,
and whether an id takes one byte or four, are known at the end only, so the ids wait in a
nameless temporary file (narrow, on the disk of the output) and are copied from there
into the HDF5 file. This reads standard input and packed files as well as plain ones,
needs the text but once, and keeps the whole process at some 60 MB for any size. Only a text
whose lines are shuffled is held in memory.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json as json_format
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, RunError, reason_of, shown
from charrnn.files import replacing
from charrnn.options.datasets import SPLITS, SplitOptions
from charrnn.options.ranges import require_path
from charrnn.text import sources
from charrnn.text import sources as text_lines
from charrnn.text.vocabulary import FIRST_FILE_ID, Vocabulary

Report = Callable[[int, "int | None"], None]

_BLOCK = 1 << 15  # ids copied at once


class Spool:
    """Ids that wait in a file until their number and final type are known."""

    def __init__(self, file: BinaryIO) -> None:
        self.count = 0
        self._file = file
        self._runs: list[list[Any]] = []  # [dtype, ids] one after the other

    def write(self, ids: npt.NDArray[Any]) -> None:
        self._file.write(ids.data.cast("B"))
        self.count += len(ids)
        if not self._runs or self._runs[-1][0] != ids.dtype:
            self._runs.append([ids.dtype, 0])
        self._runs[-1][1] += len(ids)

    def blocks(self, lengths: list[int]) -> Iterator[npt.NDArray[Any]]:
        """All ids from the start, in blocks that never reach across these lengths.

        Reading the file back consumes what it knows of it: this can be done once.
        """
        self._file.seek(0)
        for left in lengths:
            while left:
                dtype, available = self._runs[0]
                count = min(left, available, _BLOCK)
                yield np.frombuffer(self._file.read(count * dtype.itemsize), dtype, count)
                left -= count
                self._runs[0][1] -= count
                if not self._runs[0][1]:
                    del self._runs[0]


@contextlib.contextmanager
def spool_beside(h5: Path) -> Iterator[Spool]:
    """A spool on the disk of `h5`: without a name, so that nothing can be left of it."""
    with unwritable(h5):
        folder = next(p for p in Path(os.path.realpath(h5)).parents if p.exists())
        with tempfile.TemporaryFile(dir=folder) as file:
            yield Spool(file)


@contextlib.contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """An OSError within is a RunError that names `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{shown(path)}: cannot be written ({reason_of(error)})") from error


def write_h5(
    path: Path,
    spool: Spool,
    sizes: dict[str, int],
    dtype: np.dtype[Any],
    attributes: dict[str, str],
    report: Report,
) -> None:
    """Lay out the HDF5 file, then write the ids into it.

    The ids go through plain writes at the datasets' offsets: a quarter of the time that the
    library takes, and a full disk is an ordinary OSError.
    """
    offsets = _lay_out(path, sizes, dtype)
    done, total = 0, spool.count * dtype.itemsize
    blocks = spool.blocks(list(sizes.values()))
    with open(path, "r+b", buffering=0) as file:
        for split, size in sizes.items():
            written = 0
            while written < size:
                ids = next(blocks).astype(dtype)
                file.seek(offsets[split] + written * dtype.itemsize)
                _write_all(file, ids.data.cast("B"))
                written += len(ids)
                report(done := done + ids.nbytes, total)
        os.fsync(file.fileno())
    with _plain_errors(), h5py.File(path, "r+", locking=False) as h5:
        h5.attrs.update(attributes)
    # so that the two names change hands within an instant
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _lay_out(path: Path, sizes: dict[str, int], dtype: np.dtype[Any]) -> dict[str, int]:
    """Make the file with its datasets, contiguous and without content; where they begin."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(dtype)
    with _plain_errors(), h5py.File(path, "w", locking=False) as h5:
        return {
            split: h5py.h5d.create(
                h5.id, split.encode(), kind, h5py.h5s.create_simple((size,)), plan
            ).get_offset()
            or 0
            for split, size in sizes.items()
        }


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """The HDF5 library's errors as an OSError of one short line."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        # what the system said stands somewhere within what the library says
        number = re.search(r"errno = (\d+)", str(error))
        if number:
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise OSError(str(error).partition("\n")[0]) from error


def _write_all(file: Any, data: memoryview) -> None:
    """An unbuffered file may take a part only, when the disk is nearly full or a signal comes."""
    while data:
        data = data[file.write(data) :]


# the pass over the text, and that over the ids, as a display names them
STAGES = ("reading the text", "writing the ids")


@dataclass(frozen=True)
class Preprocessed:
    """What `preprocess` made.

    Attributes:
        h5: the file with the datasets ``/train``, ``/val`` and ``/test``.
        json: the file with the vocabulary.
        vocabulary: the characters, in the order in which the text first uses them.
        sizes: characters in each split, under train, val and test.
        dtype: of the ids, uint8 or uint32.
        found_list: the lines were shuffled because they are a sorted list's.
        prefix: of the options' names, as whoever asked for it spells them.
    """

    h5: Path
    json: Path
    vocabulary: Vocabulary
    sizes: dict[str, int]
    dtype: str
    found_list: bool = False
    prefix: str = ""

    @property
    def remarks(self) -> list[str]:
        """Lines about what few would expect: of the text's order, of characters to learn."""
        characters = self._remark_on_characters()
        return [text_lines.remark(self.prefix)] * self.found_list + (
            [characters] if characters else []
        )

    def _remark_on_characters(self) -> str | None:
        if self.vocabulary.is_bytes:
            return None
        if "\0" in self.vocabulary:
            return (
                "the text holds NUL characters, as UTF-16 read in another encoding does; if that "
                f"is what it is, give {self.prefix}encoding=utf-16-le (or utf-16-be)"
            )
        if "\r" in self.vocabulary:
            return (
                "the text has line ends of Windows (\\r\\n), so \\r is a character to learn; "
                f"{self.prefix}line_ends=unix leaves it out"
            )
        return None


def preprocess(
    input_txt: str | list[str],
    output_h5: Path | None,
    output_json: Path | None,
    split: SplitOptions,
    *,
    report: Report | None = None,
    stdin: BinaryIO | None = None,
    prefix: str = "",
) -> Preprocessed:
    """Write the ids of a text as HDF5 and its vocabulary as JSON, in torch-rnn's layout.

    Both files appear whole, the JSON just before the HDF5, in place of what had these names.
    The HDF5's attribute ``vocabulary`` identifies the JSON file that belongs to it (its sha256),
    and ``source`` says what it was made from.

    Args:
        input_txt: see `charrnn.text.sources.find_files`.
        output_h5: by default beside the text: ``x.h5`` for ``x.txt`` and for a folder ``x``.
        output_json: by default beside the HDF5 file.
        split: how the text is read and split. Lines that are shuffled are so before the splits
            are cut, and these are cut between them (see `charrnn.text.sources`);
            ``auto`` shuffles those of a sorted list.
        report: called now and then with the bytes done and the bytes in all (None: unknown),
            first over the text, then from 0 again over the ids that are written.
        stdin: what ``-`` reads; standard input by default.
        prefix: what stands before the options' names in what is said of them.

    Raises:
        InputError: the text is missing, empty, damaged or not in the encoding, or the outputs
            cannot be meant.
        RunError: the outputs cannot be written.
    """
    report = report or (lambda done, total: None)
    require_path("output_h5", output_h5)
    require_path("output_json", output_json)
    files = sources.find_files(input_txt)
    h5, json = output_paths(input_txt, output_h5, output_json)
    _check_outputs(h5, json, files)
    began, state = time.time_ns(), sources.stat_digest(files)[0]
    text = sources.Text(files, split.encoding, stdin, prefix=prefix, line_ends=split.line_ends)
    numbering = _Numbering()
    with spool_beside(h5) as spool:
        arranged, pieces = text_lines.decided(split.lines, text.pieces())
        splits: dict[str, str] = {}
        if arranged == "shuffle" and (whole := "".join(pieces)):
            sizes = split_sizes(len(whole), split.val_frac, split.test_frac)
            splits = text_lines.shuffled(whole, sizes)
            pieces = filter(None, splits.values())
        for piece in pieces:
            spool.write(numbering.ids(piece))
            report(text.done, text.size)
        if not spool.count:
            raise _empty(input_txt)
        vocabulary = numbering.vocabulary(split.encoding == "bytes")
        sizes = split_sizes(spool.count, split.val_frac, split.test_frac)
        sizes.update((name, len(part)) for name, part in splits.items())
        dtype = np.dtype(np.uint8 if len(vocabulary) <= 255 else "<u4")
        # through a link, its target is replaced rather than the link
        with (
            replacing(Path(os.path.realpath(h5))) as new_h5,
            replacing(Path(os.path.realpath(json))) as new_json,
        ):
            vocabulary.write_json(new_json)
            source = {
                "name": source_name(input_txt),
                "options": recorded_options(split, arranged),
                "files": state,
                "content": text.digest(),
                "read_at": began,
            }
            attributes = {
                "source": json_format.dumps(source),
                "vocabulary": hashlib.sha256(new_json.read_bytes()).hexdigest(),
            }
            with unwritable(h5):
                write_h5(new_h5, spool, sizes, dtype, attributes, report)
    found_list = split.lines == "auto" and arranged == "shuffle"
    return Preprocessed(h5, json, vocabulary, sizes, dtype.name, found_list, prefix)


def read_text(input_txt: str | list[str], encoding: str, stdin: BinaryIO | None = None) -> str:
    """A whole text in memory, as `Vocabulary.encode` takes it: of bytes, the surrogateescape.

    Raises:
        InputError: as `preprocess` does.
    """
    return "".join(read_pieces(input_txt, encoding, stdin))


def read_pieces(
    input_txt: str | list[str], encoding: str, stdin: BinaryIO | None = None
) -> Iterator[str]:
    """The same text in pieces, of which none is empty.

    Args:
        encoding: that of the model that reads the text, so that it cannot be another.

    Raises:
        InputError: as `preprocess` does.
    """
    is_empty = True
    advice = f"the model reads {encoding}; save the text in that"
    text = sources.Text(sources.find_files(input_txt), encoding, stdin, advice)
    for piece in text.pieces():
        yield _bytes_as_text(piece.encode("latin-1")) if encoding == "bytes" else piece
        is_empty = False
    if is_empty:
        raise _empty(input_txt)


def _empty(input_txt: str | list[str]) -> InputError:
    name = input_txt if isinstance(input_txt, str) else source_name(input_txt)
    return InputError(f"{shown(name)}: the text is empty; give one with characters in it")


def output_paths(
    input_txt: str | list[str], output_h5: Path | None, output_json: Path | None
) -> tuple[Path, Path]:
    """The names that `preprocess` gives its two files.

    Raises:
        InputError: names output_h5, where it must be given.
    """
    if output_h5 is None:
        if not isinstance(input_txt, str) or not sources.is_one_place(input_txt):
            raise InputError(
                "output_h5=null: standard input, a list or a glob has no place to put the ids "
                "beside; name a file: output_h5=text.h5"
            )
        path, stem = Path(input_txt), Path(input_txt).stem
        if path.is_dir():
            path = Path(os.path.abspath(path))
            stem = path.name
        elif sources.is_packed(path):
            stem = Path(stem).stem
        if not stem:
            raise InputError(f"output_h5=null: nothing stands beside {path}; name a file")
        output_h5 = path.with_name(f"{stem}.h5")
    if not output_h5.name:
        raise InputError(f"output_h5={output_h5}: is a folder; name a file")
    return output_h5, output_json or output_h5.with_suffix(".json")


def split_sizes(total: int, val_frac: float, test_frac: float) -> dict[str, int]:
    """Characters in train, val and test, in this order, as torch-rnn cuts them."""
    val, test = int(val_frac * total), int(test_frac * total)
    return dict(zip(SPLITS, (total - val - test, val, test), strict=True))


def recorded_options(split: SplitOptions, lines: str) -> dict[str, Any]:
    """The options that a preprocessed file depends on, as it records them.

    A text that was kept as it is has nothing of lines and their ends, as before there was a choice.

    Args:
        lines: ``keep`` or ``shuffle``, by now.
    """
    encoding = split.encoding if split.encoding == "bytes" else codecs.lookup(split.encoding).name
    recorded = {"val_frac": split.val_frac, "test_frac": split.test_frac, "encoding": encoding}
    shuffled = {"lines": lines} if lines == "shuffle" else {}
    ends = {} if split.line_ends == "keep" else {"line_ends": split.line_ends}
    return recorded | ends | shuffled


def source_name(input_txt: str | list[str]) -> str:
    """What to call a text, wherever it lies."""
    names = [input_txt] if isinstance(input_txt, str) else input_txt
    # an attribute of an HDF5 file holds 64 KB at most
    return ", ".join(os.path.basename(os.path.abspath(name)) for name in names)[:1000]


def _check_outputs(h5: Path, json: Path, files: list[Path]) -> None:
    """Refuse outputs that would overwrite each other, the text, or what is no file."""
    real = [Path(os.path.realpath(path)) for path in (h5, json)]
    if real[0] == real[1]:
        raise InputError(
            f"output_json={shown(json)}: is the same file as output_h5; give another name"
        )
    texts = {Path(os.path.realpath(path)) for path in files if path is not sources.STDIN}
    for option, path, target in zip(("output_h5", "output_json"), (h5, json), real, strict=True):
        if target in texts:
            raise InputError(f"{option}={shown(path)}: would overwrite the text; give another name")
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(target.stat().st_mode):
                raise InputError(
                    f"{option}={shown(path)}: exists and is no file; give another name"
                )


class _Numbering:
    """Gives every character an id (from 1) when it first appears."""

    def __init__(self) -> None:
        self._codes: list[int] = []
        self._table = np.zeros(sys.maxunicode + 1, np.uint32)

    def ids(self, text: str) -> npt.NDArray[Any]:
        """Ids of a text's characters in the narrowest type that holds them, shape (length,)."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        ids = self._table.take(codes)
        if not ids.all():
            new, first = np.unique(codes[ids == 0], return_index=True)
            new = new[first.argsort()]
            self._table[new] = np.arange(len(new)) + FIRST_FILE_ID + len(self._codes)
            self._codes += new.tolist()
            ids = self._table.take(codes)
        return ids.astype(np.min_scalar_type(len(self._codes)).newbyteorder("<"))

    def vocabulary(self, is_bytes: bool) -> Vocabulary:
        if is_bytes:
            return Vocabulary(list(_bytes_as_text(bytes(self._codes))), True)
        return Vocabulary([chr(code) for code in self._codes])


def _bytes_as_text(data: bytes) -> str:
    return data.decode("ascii", "surrogateescape")
