"""The HDF5 file that training reads, made from a text when there is need.

Two places are looked at for the files of a text: beside it, under the names that
`charrnn preprocess` gives them, and in the cache, under a name that no other text and no
other options lead to. What lies beside the text is used when it was made from this very
text with these very options; it is made anew when it was, but the text has changed since.
Anything else that has these names is somebody's work: it is left alone, and the cache is
used. So jobs with different options never take turns in overwriting one file, and what was
preprocessed by hand survives.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from charrnn.errors import InputError, RunError, shown
from charrnn.files import locked, require_regular_file
from charrnn.options.datasets import DataOptions
from charrnn.say import ProgressDisplay
from charrnn.text.corpora import CORPORA, cache_folder, corpus_text, downloaded_text
from charrnn.text.preprocessing import STAGES, origin, output_paths, preprocess
from charrnn.text.sources import find_files, names_of
from charrnn.text.vocabulary import Vocabulary

Say = Callable[[str], None]


def prepare(data: DataOptions, say: Say, beside: bool = True) -> tuple[Path, Path]:
    """The HDF5 and JSON files of a text.

    The text is fetched and preprocessed if that was not done yet, or if its content or the
    options have changed since. Jobs started together do that once: one works, the others wait.

    Args:
        say: told in a line what is made, or why a file is passed over.
        beside: whether files may be made beside the text; those that are there are used.

    Raises:
        InputError, RunError: as `corpus_text` and `preprocess` do.
    """
    input_txt = _text_of(data, say)
    source = origin(input_txt, find_files(input_txt), data)
    places = _places(input_txt, source["options"])
    for pair in places:
        if _state(*pair, source) == "current":
            return pair
    for h5, json_path in places if beside else places[-1:]:
        if _state(h5, json_path, source) == "foreign":
            say(f"{h5}: not made from {shown(input_txt)} with these options; left as it is")
            continue
        try:
            with locked(h5.with_name(f".{h5.name}.lock")):
                # meanwhile another job may have made it
                if _state(h5, json_path, source) != "current":
                    _preprocess(input_txt, h5, json_path, data, say)
            return h5, json_path
        except RunError:  # a folder that cannot be written; the cache is the last resort
            if (h5, json_path) == places[-1]:
                raise
    raise RunError(f"{places[-1][0]}: is no file of charrnn's; delete it")


def _text_of(data: DataOptions, say: Say) -> str | list[str]:
    data.require_one_text()
    if data.input_txt is not None:
        return data.input_txt
    if data.corpus is not None:
        return str(corpus_text(data.corpus, data.url, say))
    if data.sha256 is not None:
        return str(downloaded_text(data.url, data.sha256, say))
    raise InputError(
        "data.input_txt=null: give a text, or a corpus by its name: "
        + ", ".join(f"data={name}" for name in CORPORA)
    )


def _preprocess(
    input_txt: str | list[str], h5: Path, json_path: Path, data: DataOptions, say: Say
) -> None:
    with ProgressDisplay(*STAGES) as report:
        made = preprocess(input_txt, h5, json_path, data, report)
    # afterwards, so that a text that is refused has its line alone
    for line in (f"{h5}: preprocessed from {shown(input_txt)}", *made.remarks):
        say(line)


def _places(input_txt: str | list[str], options: dict[str, Any]) -> list[tuple[Path, Path]]:
    """Where its HDF5 and JSON may be: beside it, if it is in one place, and in the cache."""
    beside = []
    with contextlib.suppress(InputError):  # nothing stands beside a list or a glob
        beside.append(output_paths(input_txt, None, None))
    key = json.dumps([[os.path.abspath(name) for name in names_of(input_txt)], options])
    name = beside[0][0].stem if beside else "texts"
    name += "-" + hashlib.sha256(key.encode("ascii")).hexdigest()[:16]
    folder = cache_folder() / "prepared"
    return [*beside, (folder / f"{name}.h5", folder / f"{name}.json")]


def _state(h5: Path, json_path: Path, source: dict[str, Any]) -> str:
    """What stands under two names.

    Returns:
        ``current``: made from the text as it is now, with these options. ``outdated``: the
        names are free, or what stands there was made from an earlier state of the text.
        ``foreign``: made by somebody else, or from something else, or with other options.
    """
    if os.path.lexists(json_path):
        try:
            Vocabulary.read_json(json_path)
        except InputError:
            return "foreign"
    if not os.path.lexists(h5):
        return "outdated"
    recorded, vocabulary = _recorded(h5)
    if any(recorded.get(name) != source[name] for name in ("name", "options")):
        return "foreign"
    if not json_path.exists() or recorded != source:
        return "outdated"
    is_its_own = hashlib.sha256(json_path.read_bytes()).hexdigest() == vocabulary
    return "current" if is_its_own else "outdated"


def _recorded(h5: Path) -> tuple[dict[str, Any], str | None]:
    """What an HDF5 file says it was made from, and its vocabulary's checksum.

    Empty where that is not what `preprocess` writes: the attributes of a foreign file may have
    any type and any content.
    """
    try:
        require_regular_file(h5, "")
        with h5py.File(h5, "r") as file:
            source, vocabulary = json.loads(file.attrs["source"]), file.attrs["vocabulary"]
    except (InputError, OSError, RuntimeError, KeyError, ValueError, TypeError, RecursionError):
        return {}, None
    return (
        source if isinstance(source, dict) else {},
        vocabulary if isinstance(vocabulary, str) else None,
    )
