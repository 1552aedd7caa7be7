"""A text becomes ids in HDF5 and a vocabulary in JSON: torch-rnn's two files.

The text is decoded once, in pieces. How large the splits are, and whether an id takes one byte or
four, is known at its end only, so the ids wait in a temporary file, of four bytes each. The whole
process stays at some 65 MB for any size; only a text whose lines are shuffled is held in memory.

`prepare` makes the two files where there is need. It looks beside the text, where `preprocess`
puts them, and in the cache, where their name says what they were made from. What was made from
this very text with these very options is used. Nothing that stands beside a text is ever replaced:
somebody may have made it, and other runs may read it.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, RunError, shorten
from charrnn.files import convert_write_errors, hold_lock, replace_file, require_regular_file
from charrnn.options.datasets import SPLITS, DataOptions, SplitOptions
from charrnn.say import ProgressDisplay
from charrnn.text import sorted_lists
from charrnn.text.corpora import CORPORA, Say, fetch_corpus, get_cache_folder
from charrnn.text.sources import (
    STDIN,
    Report,
    as_text,
    compute_sha256,
    decode_files,
    find_files,
    is_compressed,
    make_empty_text_error,
)
from charrnn.text.vocabulary import FIRST_FILE_ID, Vocabulary

PROGRESS_LABEL = "reading the text"  # as a display names it
FILE_ID = np.dtype("<u4")  # of an id while it waits
_BLOCK = 1 << 18  # ids copied at once

SHUFFLE_NOTICE = (
    "the lines are short and sorted, as a list's are, so they were shuffled before the splits were "
    "cut ({prefix}lines=shuffle); {prefix}lines=keep leaves them as they are"
)


@dataclass(frozen=True)
class PreprocessedText:
    """What `preprocess` made.

    Attributes:
        h5: the file with the datasets ``/train``, ``/val`` and ``/test``.
        json: the file with the vocabulary.
        vocabulary: the characters, in the order in which the text first uses them.
        sizes: characters in each split, under train, val and test.
        dtype: of the ids, uint8 or uint32.
        is_list: whether it is a sorted list by itself, whose lines were shuffled.
    """

    h5: Path
    json: Path
    vocabulary: Vocabulary
    sizes: dict[str, int]
    dtype: str
    is_list: bool


def preprocess(
    input_txt: str | list[str],
    output_h5: Path | None,
    output_json: Path | None,
    split: SplitOptions,
    report: Report = lambda done, total: None,
) -> PreprocessedText:
    """Write the ids of a text as HDF5 and its vocabulary as JSON, in torch-rnn's layout.

    Both files appear whole, the JSON just before the HDF5, in place of what had these names.
    The HDF5's attribute ``source`` says what it was made from.

    Args:
        input_txt: see `charrnn.text.sources.find_files`.
        output_h5: by default beside the text: ``x.h5`` for ``x.txt`` and for a folder ``x``.
        output_json: by default beside the HDF5 file.
        split: how the text is read and split. Lines that are shuffled are so before the splits
            are cut, and these are cut between them (see `charrnn.text.sorted_lists`);
            ``auto`` shuffles those of a sorted list.
        report: called now and then with the bytes read and the bytes in all (None: unknown).

    Raises:
        InputError: the text is missing, empty, damaged or not in the encoding, or the outputs
            cannot be meant.
        RunError: the outputs cannot be written.
    """
    files = find_files(input_txt)
    h5, json_path = resolve_output_paths(input_txt, output_h5, output_json)
    _check_outputs(h5, json_path, files)
    source = describe_source(files, split)  # before it is read: what changes later is done again
    option = f"{split.PREFIX}encoding="
    advice = (
        f"give its encoding ({option}utf-16 or {option}latin-1, say), or {option}bytes to take "
        "each byte as a character"
    )
    text = decode_files(files, split.encoding, advice, report)
    lines, text = sorted_lists.resolve_lines(split.lines, text)
    sizes: dict[str, int] = {}
    if lines == "shuffle" and (whole := "".join(text)):
        parts = sorted_lists.shuffle_lines(whole, compute_split_sizes(len(whole), split))
        sizes, text = {name: len(part) for name, part in parts.items()}, iter(parts.values())
    numbering = _Numbering()
    # without a name, so that nothing can be left of it, and on the disk of the output
    folder = next(p for p in Path(os.path.realpath(h5)).parents if p.exists())
    with convert_write_errors(h5), tempfile.TemporaryFile(dir=folder) as waiting:
        for piece in text:
            waiting.write(numbering.ids(piece).data)
        count = waiting.tell() // FILE_ID.itemsize
        if not count:
            raise make_empty_text_error(input_txt)
        waiting.seek(0)
        vocabulary = numbering.vocabulary(split.encoding == "bytes")
        sizes = sizes or compute_split_sizes(count, split)
        dtype = "uint8" if len(vocabulary) <= 255 else "uint32"
        with replace_file(h5) as new_h5, replace_file(json_path) as new_json:
            vocabulary.write_json(new_json)
            # a file of Python's: the HDF5 library crashes where one of its own cannot be written
            with (
                convert_write_errors(h5),
                open(new_h5, "w+b") as output,
                h5py.File(output, "w") as file,
            ):
                file.attrs["source"] = json.dumps(source)
                file.attrs[sorted_lists.LIST_MARK] = lines == "shuffle"
                for name, size in sizes.items():
                    dataset, done = file.create_dataset(name, (size,), dtype), 0
                    while done < size:
                        ids = np.fromfile(waiting, FILE_ID, min(_BLOCK, size - done))
                        dataset[done : done + len(ids)] = ids.astype(dtype)
                        done += len(ids)
    is_list = split.lines == "auto" and lines == "shuffle"
    return PreprocessedText(h5, json_path, vocabulary, sizes, dtype, is_list)


class _Numbering:
    """Gives every character an id (from 1) when it first appears."""

    def __init__(self) -> None:
        self._codes: list[int] = []
        self._table = np.zeros(sys.maxunicode + 1, FILE_ID)

    def ids(self, text: str) -> npt.NDArray[np.uint32]:
        """Ids (n,) of a text's n characters."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        ids = self._table.take(codes)
        if not ids.all():
            new, first = np.unique(codes[ids == 0], return_index=True)
            new = new[first.argsort()]
            self._table[new] = np.arange(len(new)) + FIRST_FILE_ID + len(self._codes)
            self._codes += new.tolist()
            ids = self._table.take(codes)
        return ids

    def vocabulary(self, is_bytes: bool) -> Vocabulary:
        if is_bytes:
            return Vocabulary(list(as_text(bytes(self._codes))), True)
        return Vocabulary([chr(code) for code in self._codes])


def resolve_output_paths(
    input_txt: str | list[str], output_h5: Path | None, output_json: Path | None
) -> tuple[Path, Path]:
    """The names that `preprocess` gives its two files.

    Raises:
        InputError: names output_h5, where it must be given.
    """
    if output_h5 is None:
        if not isinstance(input_txt, str) or not os.path.lexists(input_txt) or input_txt == "-":
            raise InputError(
                "output_h5=null: standard input, a list or a glob has no place to put the ids "
                "beside; name a file: output_h5=text.h5"
            )
        path = Path(input_txt)
        if path.is_dir():
            path = Path(os.path.abspath(path))
            stem = path.name
        else:
            stem = (path.with_suffix("") if is_compressed(path) else path).stem
        if not stem:
            raise InputError(f"output_h5=null: nothing stands beside {path}; name a file")
        output_h5 = path.with_name(f"{stem}.h5")
    if not output_h5.name:
        raise InputError(f"output_h5={output_h5}: is a folder; name a file")
    return output_h5, output_json or output_h5.with_suffix(".json")


def compute_split_sizes(total: int, split: SplitOptions) -> dict[str, int]:
    """Characters in train, val and test, in this order, as torch-rnn cuts them."""
    val, test = int(split.val_frac * total), int(split.test_frac * total)
    return dict(zip(SPLITS, (total - val - test, val, test), strict=True))


def describe_source(files: list[Path], split: SplitOptions) -> dict[str, Any]:
    """What a preprocessed file depends on, as it records it: a text and how it is read."""
    options = {f.name: getattr(split, f.name) for f in dataclasses.fields(SplitOptions)}
    if split.encoding != "bytes":
        options["encoding"] = codecs.lookup(split.encoding).name
    hashes = None if STDIN in files else "".join(map(compute_sha256, files))
    content = hashes and hashlib.sha256(hashes.encode()).hexdigest()
    return {"options": options, "content": content}


def _check_outputs(h5: Path, json_path: Path, files: list[Path]) -> None:
    """Refuse outputs that would overwrite each other, the text, or what is no file."""
    texts = {os.path.realpath(path) for path in files if path is not STDIN}
    if os.path.realpath(h5) == os.path.realpath(json_path):
        raise InputError(
            f"output_json={shorten(json_path)}: is the same file as output_h5; give another name"
        )
    for option, path in {"output_h5": h5, "output_json": json_path}.items():
        if os.path.realpath(path) in texts:
            raise InputError(
                f"{option}={shorten(path)}: would overwrite the text; give another name"
            )
        if path.exists() and not path.is_file():
            raise InputError(f"{option}={shorten(path)}: exists and is no file; give another name")


def prepare_files(data: DataOptions, say: Say, beside: bool = True) -> tuple[Path, Path]:
    """Return the HDF5 and JSON files of a text.

    The options name the files or the text. The text is fetched and preprocessed if that was not
    done yet, or if its content or the options have changed since. Jobs started together do that
    once: one works, the others wait.

    Args:
        say: told in a line what is made.
        beside: whether files may be made beside the text; those that are there are used.

    Raises:
        InputError, RunError: as `corpus_text` and `preprocess` do.
    """
    if data.input_h5 is not None and data.input_json is not None:
        return Path(data.input_h5), Path(data.input_json)
    input_txt = data.input_txt
    if data.corpus is not None:
        input_txt = str(fetch_corpus(data.corpus, say))
    if input_txt is None:
        raise InputError(
            "data.input_txt=null: give a text, or a corpus by its name: "
            + ", ".join(f"data={name}" for name in CORPORA)
        )
    source = describe_source(find_files(input_txt), data)
    places = _places(input_txt, source)
    for pair in places:
        if _is_made_from(source, *pair):
            return pair
    in_cache = places[-1]
    for pair in places if beside else [in_cache]:
        h5, json_path = pair
        try:
            with hold_lock(h5.with_name(f".{h5.name}.lock")):
                # meanwhile another job may have made it
                if _is_made_from(source, *pair):
                    return pair
                if pair == in_cache or not any(map(os.path.lexists, pair)):
                    with ProgressDisplay(PROGRESS_LABEL) as report:
                        result = preprocess(input_txt, h5, json_path, data, report)
                    # afterwards, so that a text that is refused has its line alone
                    say(f"{h5}: preprocessed from {shorten(input_txt)}")
                    if result.is_list:
                        say(SHUFFLE_NOTICE.format(prefix=data.PREFIX))
                    return pair
        except RunError:  # a folder that cannot be written; the cache is the last resort
            if pair == in_cache:
                raise
    raise AssertionError("the cache is the last place, and returns or raises")


def _places(input_txt: str | list[str], source: dict[str, Any]) -> list[tuple[Path, Path]]:
    """Where its HDF5 and JSON may be: beside it, if it is in one place, and in the cache."""
    places, name = [], "texts"
    with contextlib.suppress(InputError):  # nothing stands beside a list or a glob
        places.append(resolve_output_paths(input_txt, None, None))
        name = places[0][0].stem
    key = hashlib.sha256(json.dumps(source).encode()).hexdigest()[:16]
    h5 = get_cache_folder() / "prepared" / f"{name[:50]}-{key}.h5"
    return [*places, (h5, h5.with_suffix(".json"))]


def _is_made_from(source: dict[str, Any], h5: Path, json_path: Path) -> bool:
    try:
        require_regular_file(h5, "")
        require_regular_file(json_path, "")
        with h5py.File(h5, "r") as file:
            return bool(json.loads(file.attrs["source"]) == source)
    # whatever stands under these names may be of any kind and hold anything
    except (InputError, OSError, RuntimeError, KeyError, ValueError, TypeError, RecursionError):
        return False
