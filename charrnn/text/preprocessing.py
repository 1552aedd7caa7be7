"""Convert a text to torch-rnn's two files: its ids in HDF5 and its vocabulary in JSON.

`prepare_files` makes the two files if necessary. It looks next to the text, where `preprocess`
writes them, and in the cache, where their name contains a hash of their source. Files that were
made from the same text with the same options are reused. Other files next to the text are never
replaced, because the user may have made them and other runs may read them.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from charrnn.errors import InputError, RunError, format_reason, shorten
from charrnn.files import convert_write_errors, hold_lock, replace_file, require_regular_file
from charrnn.options.datasets import DEFAULT_SPLIT, SPLITS, DataOptions, SplitOptions
from charrnn.say import say
from charrnn.text.corpora import CORPORA, get_cache_folder
from charrnn.text.lists import LIST_MARK, decide_lines, shuffle_lines
from charrnn.text.sources import (
    STDIN,
    as_text,
    decode_files,
    find_files,
    is_compressed,
    make_empty_text_error,
)
from charrnn.text.vocabulary import DIGEST, FIRST_FILE_ID, Vocabulary
from charrnn.text.wrap import WRAP_FACT, is_wrapped

_BLOCK = 1 << 18  # ids written at once

_SHUFFLE_NOTICE = (
    "the text is a list, so its lines are shuffled before it is split; the file stays as it is "
    "({prefix}lines=keep leaves them in order)"
)
_WRAP_NOTICE = (
    "the text is hard-wrapped prose, so the lines of each paragraph are joined; the file stays as "
    "it is ({prefix}wrap=keep keeps the lines)"
)


@dataclass(frozen=True)
class PreprocessedText:
    """The result of `preprocess`."""

    h5: Path  # the file with the datasets ``/train``, ``/val`` and ``/test``
    json: Path  # the file with the vocabulary
    vocabulary: Vocabulary  # the characters, in the order in which the text first uses them
    sizes: dict[str, int]  # characters in train, val and test
    dtype: str  # the type of the ids, uint8 or uint32
    notices: list[str]  # what was recognized in the text and changed, and how to prevent it


def preprocess(
    input_txt: str | list[str],
    output_h5: Path | None,
    output_json: Path | None,
    split: SplitOptions,
    *,
    is_for_training: bool = False,
) -> PreprocessedText:
    """Write the ids of a text as HDF5 and its vocabulary as JSON, in torch-rnn's layout.

    Both files replace existing ones atomically, the JSON just before the HDF5. The HDF5's attribute
    ``source`` records the text and the options, its ``vocabulary`` the JSON that belongs to it.

    Args:
        input_txt: see `charrnn.text.sources.find_files`.
        output_h5: by default next to the text: ``x.h5`` for ``x.txt`` and for a folder ``x``.
        output_json: by default next to the HDF5 file.
        split: how the text is decoded and split. Lines are joined (see `charrnn.text.wrap`) and
            shuffled (see `charrnn.text.lists`) before the splits are cut; ``auto`` joins those of
            wrapped prose and shuffles those of a list only.
        is_for_training: whether the training split needs 2 or more characters.

    Raises:
        InputError: the text is missing, empty, too short, damaged or not in the encoding, or an
            output has an invalid name.
        RunError: an output cannot be written.
    """
    files = find_files(input_txt)
    h5, json_path = resolve_output_paths(input_txt, output_h5, output_json)
    _check_outputs(h5, json_path, files)
    # Hash the text before reading it, so that a change during the reading is noticed later.
    source = describe_source(files, split)
    wrap = source["options"].get(WRAP_FACT, "keep")
    text = "".join(decode_files(files, split.encoding, wrap, f"{split.PREFIX}encoding"))
    if not text:
        raise make_empty_text_error(input_txt)
    sizes = compute_split_sizes(len(text), split)
    lines = decide_lines(split.lines, text)
    if lines == "shuffle":
        splits = shuffle_lines(text, sizes)
        sizes, text = {name: len(part) for name, part in splits.items()}, "".join(splits.values())
    if is_for_training:
        require_pair(files[0], sizes["train"])
    characters = list(dict.fromkeys(text))
    codes, is_bytes = [ord(character) for character in characters], split.encoding == "bytes"
    vocabulary = Vocabulary(list(as_text(bytes(codes))) if is_bytes else characters, is_bytes)
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
            file.attrs[LIST_MARK] = lines == "shuffle"
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
    notices = [_WRAP_NOTICE] if wrap == "auto" else []
    notices += [_SHUFFLE_NOTICE] if (split.lines, lines) == ("auto", "shuffle") else []
    notices = [notice.format(prefix=split.PREFIX) for notice in notices]
    return PreprocessedText(h5, json_path, vocabulary, sizes, dtype, notices)


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
        path = Path(input_txt)
        if path.is_dir():
            path = Path(os.path.abspath(path))
            stem = path.name
        else:
            stem = (path.with_suffix("") if is_compressed(path) else path).stem
        if not stem:
            raise InputError(f"output_h5=null: there is no default name for {path}; give one")
        output_h5 = path.with_name(f"{stem}.h5")
    if not output_h5.name:
        raise InputError(f"output_h5={output_h5}: is a folder; name a file")
    return output_h5, output_json or output_h5.with_suffix(".json")


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
            f"{name}: its training split has {size} characters, and training needs 2 or more; "
            f"give a longer text, or smaller data.val_frac and data.test_frac"
        )


def describe_source(files: list[Path], split: SplitOptions) -> dict[str, Any]:
    """Return the source that a preprocessed file records: the options and a hash of the text.

    The option wrap is ``auto`` only if there is wrapped prose to join, and ``keep`` is left out, so
    that a file is the same for each option that keeps the lines.
    """
    options = {f.name: getattr(split, f.name) for f in dataclasses.fields(SplitOptions)}
    if split.encoding != "bytes":
        options["encoding"] = codecs.lookup(split.encoding).name
    if split.wrap == "keep" or (split.wrap == "auto" and not _has_wrapped_prose(files, split)):
        del options[WRAP_FACT]
    hashes = None if STDIN in files else "".join(map(_compute_sha256, files))
    content = hashes and hashlib.sha256(hashes.encode()).hexdigest()
    return {"options": options, "content": content}


def _has_wrapped_prose(files: list[Path], split: SplitOptions) -> bool:
    if STDIN in files:
        hint = "needs a file, because it reads a text twice; give join or keep"
        raise InputError(f"{split.PREFIX}wrap=auto: {hint}")
    texts = decode_files(files, split.encoding, option=f"{split.PREFIX}encoding")
    return split.encoding != "bytes" and any(map(is_wrapped, texts))


def _compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits. Raise InputError if it is unreadable."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({format_reason(error)})") from None


def _check_outputs(h5: Path, json_path: Path, files: list[Path]) -> None:
    """Raise InputError if an output would overwrite the other one or the text."""
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


def prepare_files(data: DataOptions, next_to_text: bool = True) -> tuple[Path, Path]:
    """Return the HDF5 and JSON files of a text. Download and preprocess it if necessary.

    A change of the text or the options makes this necessary. Of several jobs that start together,
    one preprocesses the text and the others wait.

    Args:
        next_to_text: whether files may be written next to the text. Existing ones are always used.
    """
    if data.input_h5 is not None and data.input_json is not None:
        return Path(data.input_h5), Path(data.input_json)
    if data.input_txt is None:
        raise InputError(
            f"data.input_txt=null: give a text, or the name of a corpus: {', '.join(CORPORA)}"
        )
    files = find_files(data.input_txt)
    is_corpus = isinstance(data.input_txt, str) and data.input_txt in CORPORA
    input_txt = str(files[0]) if is_corpus else data.input_txt
    source = describe_source(files, data)
    candidates = _list_candidates(input_txt, source)
    for pair in candidates:
        if _is_made_from(source, *pair):
            return pair
    in_cache = candidates[-1]
    for pair in candidates if next_to_text else [in_cache]:
        h5, json_path = pair
        try:
            with hold_lock(h5.with_name(f".{h5.name}.lock")):
                # Another job may have made the files in the meantime.
                if _is_made_from(source, *pair):
                    return pair
                if pair == in_cache or not any(map(os.path.lexists, pair)):
                    result = preprocess(input_txt, h5, json_path, data, is_for_training=True)
                    # Printed afterwards, so that an invalid text causes only an error message.
                    say(f"{h5}: preprocessed from {shorten(input_txt)}")
                    for notice in result.notices:
                        say(notice)
                    return pair
        except RunError:  # a read-only folder: continue with the cache
            if pair == in_cache:
                raise
    raise AssertionError("the last candidate, in the cache, returns or raises")


def _list_candidates(input_txt: str | list[str], source: dict[str, Any]) -> list[tuple[Path, Path]]:
    """Return the possible paths of the HDF5 and JSON files: next to the text, and in the cache."""
    candidates, name = [], "texts"
    with contextlib.suppress(InputError):  # a list or a glob has files in the cache only
        candidates.append(resolve_output_paths(input_txt, None, None))
        name = candidates[0][0].stem
    key = hashlib.sha256(json.dumps(source).encode()).hexdigest()[:16]
    h5 = get_cache_folder() / "prepared" / f"{name[:50]}-{key}.h5"
    return [*candidates, (h5, h5.with_suffix(".json"))]


def _is_made_from(source: dict[str, Any], h5: Path, json_path: Path) -> bool:
    try:
        require_regular_file(h5, "")
        require_regular_file(json_path, "")
        with h5py.File(h5, "r") as file:
            is_of_source = json.loads(file.attrs["source"]) == source
            return is_of_source and Vocabulary.read_json(json_path).is_of(file.attrs)
    # The files with these names may have any type and any content.
    except (InputError, OSError, RuntimeError, KeyError, ValueError, TypeError, RecursionError):
        return False
