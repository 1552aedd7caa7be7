"""Convert a text to torch-rnn's two files: its ids in HDF5 and its vocabulary in JSON.

`prepare_files` makes the two files in the cache, unless they are there.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from charrnn.data import EncodedText, open_data
from charrnn.errors import InputError, shorten
from charrnn.files import convert_write_errors, hold_lock, replace_file
from charrnn.options.datasets import DEFAULT_SPLIT, SPLITS, DataOptions, SplitOptions
from charrnn.options.ranges import require
from charrnn.say import say
from charrnn.text.corpora import CORPORA, get_cache_folder
from charrnn.text.kinds import LIST_MARK, is_list, shuffle_lines
from charrnn.text.sources import (
    STDIN,
    TextFile,
    is_compressed,
    make_empty_text_error,
    read_files,
)
from charrnn.text.vocabulary import DIGEST, FIRST_FILE_ID, Vocabulary
from charrnn.text.wrap import WRAP_FACT

_BLOCK = 1 << 18  # ids written at once


def preprocess(
    input_txt: str | list[str],
    output_h5: Path | None,
    output_json: Path | None,
    split: SplitOptions,
    *,
    files: list[TextFile] | None = None,
) -> EncodedText:
    """Write the ids of a text as HDF5 and its vocabulary as JSON, in torch-rnn's layout.

    Both files replace existing ones atomically, the JSON just before the HDF5. The HDF5's attribute
    ``source`` records the text and the options, its ``vocabulary`` the JSON that belongs to it.

    Args:
        input_txt: see `charrnn.text.sources.find_files`.
        output_h5: by default next to the text: ``x.h5`` for ``x.txt`` and for a folder ``x``.
        output_json: by default next to the HDF5 file.
        split: how the text is decoded and split. Lines are joined (see `charrnn.text.wrap`) and
            shuffled (see `charrnn.text.kinds`) before the splits are cut; ``auto`` joins those of
            wrapped prose and shuffles those of a list only.
        files: the files of `input_txt`, if they have been read.

    Raises:
        InputError: the text is missing, empty, damaged or not in the encoding, or both outputs have
            the same name.
        RunError: an output cannot be written.
    """
    h5, json_path = resolve_output_paths(input_txt, output_h5, output_json)
    files = read_files(input_txt) if files is None else files
    source = describe_source(files, split)
    wrap = source["options"].get(WRAP_FACT, "keep")
    text = "".join(file.decode(split.encoding, wrap) for file in files)
    if not text:
        raise make_empty_text_error(input_txt)
    sizes = compute_split_sizes(len(text), split)
    is_shuffled = split.lines == "shuffle" or (split.lines == "auto" and is_list(text))
    if is_shuffled:
        splits = shuffle_lines(text, sizes)
        sizes, text = {name: len(part) for name, part in splits.items()}, "".join(splits.values())
    characters = list(dict.fromkeys(text))
    codes = [ord(character) for character in characters]
    vocabulary = Vocabulary(characters)
    dtype = "uint8" if len(vocabulary) <= 255 else "uint32"
    file_ids = np.zeros(max(codes) + 1, dtype)  # of each code point
    file_ids[codes] = np.arange(len(codes)) + FIRST_FILE_ID
    with replace_file(h5) as new_h5, replace_file(json_path) as new_json:
        vocabulary.write_json(new_json)
        # Python opens the file, because the HDF5 library crashes if the disk is full.
        with (
            convert_write_errors(h5),
            open(new_h5, "w+b") as output,
            h5py.File(output, "w") as file,
        ):
            file.attrs["source"] = json.dumps(source)
            file.attrs[LIST_MARK] = is_shuffled
            file.attrs[DIGEST] = vocabulary.compute_digest()
            if wrap != "keep":
                file.attrs[WRAP_FACT] = "join"
            done = 0
            for name, size in sizes.items():
                dataset = file.create_dataset(name, (size,), dtype)
                for start in range(0, size, _BLOCK):
                    end = min(start + _BLOCK, size)
                    block = text[done + start : done + end].encode("utf-32-le", "surrogatepass")
                    dataset[start:end] = file_ids[np.frombuffer(block, "<u4")]
                done += size
    return open_data(h5, json_path)


def say_changes(data: EncodedText, split: SplitOptions) -> None:
    """Print what was recognized in a text and changed, and how to prevent it."""
    if (split.wrap, data.wrap) == ("auto", "join"):
        say(
            f"the text is hard-wrapped prose, so the lines of each paragraph are joined; the file "
            f"stays as it is ({split.PREFIX}wrap=keep keeps the lines)"
        )
    if split.lines == "auto" and data.is_list:
        say(
            f"the text is a list, so its lines are shuffled before it is split; the file stays as "
            f"it is ({split.PREFIX}lines=keep leaves them in order)"
        )


def resolve_output_paths(
    input_txt: str | list[str], output_h5: Path | None, output_json: Path | None
) -> tuple[Path, Path]:
    """Return the paths of the HDF5 and JSON files that `preprocess` writes."""
    if output_h5 is None:
        if not isinstance(input_txt, str) or not os.path.lexists(input_txt) or input_txt == "-":
            raise InputError(
                "output_h5=null: there is no default name for standard input, a list or a glob; "
                "give one: output_h5=text.h5"
            )
        if os.path.isdir(input_txt):
            output_h5 = Path(f"{os.path.abspath(input_txt)}.h5")
        else:
            path = Path(input_txt)
            output_h5 = (path.with_suffix("") if is_compressed(path) else path).with_suffix(".h5")
    output_json = output_json or output_h5.with_suffix(".json")
    is_other = os.path.realpath(output_json) != os.path.realpath(output_h5)
    require(is_other, "output_json", output_json, "is the other output too; give another name")
    return output_h5, output_json


def compute_split_sizes(total: int, split: SplitOptions) -> dict[str, int]:
    """Return the number of characters in train, val and test, computed as in torch-rnn."""
    share, largest = DEFAULT_SPLIT
    default, fractions = min(int(share * total), largest), (split.val_frac, split.test_frac)
    val, test = (default if fraction is None else int(fraction * total) for fraction in fractions)
    return dict(zip(SPLITS, (total - val - test, val, test), strict=True))


def require_pair(name: object, size: int) -> None:
    """Raise InputError if the training split of a file has less than 2 characters."""
    if size < 2:
        raise InputError(
            f"{shorten(name)}: its training split has {size} characters, and training needs 2 or "
            f"more; give a longer text, or smaller data.val_frac and data.test_frac"
        )


def describe_source(files: list[TextFile], split: SplitOptions) -> dict[str, Any]:
    """Return the source that a preprocessed file records: the options and a hash of the text.

    The option wrap is ``auto`` only if there is wrapped prose to join, and ``keep`` is left out, so
    that a file is the same for each option that keeps the lines. Standard input has no hash.
    """
    options = {f.name: getattr(split, f.name) for f in dataclasses.fields(SplitOptions)}
    if split.encoding != "bytes":
        options["encoding"] = codecs.lookup(split.encoding).name
    has_wrapped_prose = split.wrap == "auto" and any(f.is_wrapped(split.encoding) for f in files)
    if split.wrap != "join" and not has_wrapped_prose:
        del options[WRAP_FACT]
    hashes = "".join(hashlib.sha256(file.content).hexdigest() for file in files)
    is_file = all(file.path is not STDIN for file in files)
    return {
        "options": options,
        "content": hashlib.sha256(hashes.encode()).hexdigest() if is_file else None,
    }


def prepare_files(data: DataOptions) -> tuple[Path, Path]:
    """Return the HDF5 and JSON files of a text. Download and preprocess it if necessary.

    They are in the cache, where their name contains a hash of the text and the options. Of several
    jobs that start together, one preprocesses the text and the others wait.
    """
    if data.input_h5 is not None and data.input_json is not None:
        return Path(data.input_h5), Path(data.input_json)
    if data.input_txt is None:
        raise InputError(
            f"data.input_txt=null: give a text, or the name of a corpus: {', '.join(CORPORA)}"
        )
    files, name = read_files(data.input_txt), "texts"
    input_txt = str(files[0].path) if len(files) == 1 else data.input_txt
    with contextlib.suppress(InputError):  # A list or a glob has no name.
        name = resolve_output_paths(input_txt, None, None)[0].stem
    source = describe_source(files, data)
    key = hashlib.sha256(json.dumps(source).encode()).hexdigest()[:16]
    h5 = get_cache_folder() / "prepared" / f"{name[:50]}-{key}.h5"
    pair = h5, h5.with_suffix(".json")
    if not all(path.is_file() for path in pair):
        with hold_lock(h5.with_suffix(".lock")):
            if not all(path.is_file() for path in pair):  # Another job may have made them.
                made = preprocess(input_txt, *pair, data, files=files)
                require_pair(input_txt, len(made.splits["train"]))
                # Printed afterwards, so that an invalid text causes only an error message.
                say(f"preprocessed {shorten(input_txt)}")
                say_changes(made, data)
    return pair
