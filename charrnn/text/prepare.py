"""The HDF5 file that training reads: given, or made from a text when there is need.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from charrnn.errors import InputError, RunError
from charrnn.files import lock
from charrnn.options import DataOptions
from charrnn.text import sources
from charrnn.text.corpora import CORPORA, cache_folder, corpus_text
from charrnn.text.preprocessing import options_of, output_paths, preprocess, source_name
from charrnn.text.progress import byte_progress
from charrnn.text.vocabulary import Vocabulary

# a text may change twice within a tick of a file system's clock
_CLOCK_NS = 2_000_000_000
_LARGEST_JSON = 1 << 26  # bytes: more than a vocabulary of every character there is


def prepare(options: DataOptions, say: Callable[[str], None]) -> tuple[Path, Path]:
    """The HDF5 and JSON files to train on.

    The given ones as they are; else those of the text or the named corpus, which is
    preprocessed if that was not done yet or its content or the options have changed since.
    Jobs started together do that once: one works, the others wait.

    Args:
        say: told in a line what is made, or why a place is passed over.

    Raises:
        InputError, RunError: as `corpus_text` and `preprocess` do.
    """
    if options.input_h5 is not None and options.input_json is not None:
        return Path(options.input_h5), Path(options.input_json)
    input_txt = options.input_txt
    if input_txt is None:
        if options.corpus is None:
            raise InputError(
                "data.input_txt=null: give a text, or a corpus by its name: "
                + ", ".join(f"data={name}" for name in CORPORA)
            )
        input_txt = str(corpus_text(options.corpus, options.url, say))
    made_with = options_of(options.val_frac, options.test_frac, options.encoding)
    text = _Made(input_txt, sources.find(input_txt), made_with)
    if not all(path.is_file() for path in text.files):
        raise InputError(f"data.input_txt={input_txt}: not a file that can be read twice")
    return _find(text) or _make(text, say)


@dataclass(frozen=True)
class _Made:
    """A text and the options to make its files with."""

    input_txt: str | list[str]
    files: list[Path]
    options: dict[str, Any]

    def places(self) -> list[tuple[Path, Path]]:
        """Where its HDF5 and JSON may be: beside it, if it is in one place, and in the cache."""
        beside = []
        if sources.is_one_place(self.input_txt):
            # an InputError: nothing stands beside the root folder
            with contextlib.suppress(InputError):
                beside.append(output_paths(self.input_txt, None, None))
        names = [self.input_txt] if isinstance(self.input_txt, str) else self.input_txt
        key = json.dumps([[os.path.abspath(name) for name in names], self.options])
        name = beside[0][0].stem if beside else "texts"
        name += "-" + hashlib.sha256(key.encode("ascii")).hexdigest()[:16]
        folder = cache_folder() / "prepared"
        return [*beside, (folder / f"{name}.h5", folder / f"{name}.json")]


def _find(text: _Made) -> tuple[Path, Path] | None:
    """The files that were made from the text as it is now; this writes nothing."""
    return next((place for place in text.places() if _state(text, *place) == "current"), None)


def _make(text: _Made, say: Callable[[str], None]) -> tuple[Path, Path]:
    places = text.places()
    for h5, json_path in places:
        if _state(text, h5, json_path) == "foreign":
            say(f"{h5}: not made from {text.input_txt} with these options; left as it is")
            continue
        lock_path = h5.with_name(f".{h5.name}.lock")
        try:
            handle = lock(lock_path, wait=True)
        except RunError:
            # a folder that cannot be written; the cache is the last resort
            if (h5, json_path) == places[-1]:
                raise
            continue
        assert handle is not None
        with handle:
            try:
                state = _state(text, h5, json_path)
                if state == "outdated":
                    with byte_progress(quiet=False) as report:
                        preprocess(text.input_txt, h5, json_path, **text.options, report=report)
                    # afterwards, so that a text that is refused has its line alone
                    say(f"{h5}: preprocessed from {text.input_txt}")
                if state != "foreign":
                    return h5, json_path
            finally:
                # whoever waits for it holds it open, and looks again before it works
                with contextlib.suppress(OSError):
                    lock_path.unlink()
    raise RunError(f"{places[-1][0]}: is no file of charrnn's; delete it")


def _state(text: _Made, h5: Path, json_path: Path) -> str:
    """What stands at a place for a text.

    Returns:
        ``current``: made from the text as it is now, with these options. ``outdated``: the
        place is free, or what stands there was made from an earlier state of the text.
        ``foreign``: made by somebody else, or from something else, or with other options.
    """
    if not os.path.lexists(h5):
        return "outdated" if _is_vocabulary_or_nothing(json_path) else "foreign"
    attributes = _attributes(h5)
    try:
        source = json.loads(attributes["source"])
        same = source["name"] == source_name(text.input_txt) and source["options"] == text.options
        files, content, read_at = source["files"], source["content"], int(source["read_at"])
        vocabulary = attributes["vocabulary"]
    except (KeyError, TypeError, ValueError):
        return "foreign"
    if not same or not _is_vocabulary_or_nothing(json_path):
        return "foreign"
    if not json_path.exists() or vocabulary != hashlib.sha256(json_path.read_bytes()).hexdigest():
        return "outdated"
    state, changed_at = sources.state_of(text.files)
    if state == files and changed_at + _CLOCK_NS < read_at:
        return "current"
    return "current" if sources.digest_of(text.files) == content else "outdated"


def _is_vocabulary_or_nothing(json_path: Path) -> bool:
    if not os.path.lexists(json_path):
        return True
    try:
        if json_path.stat().st_size > _LARGEST_JSON:
            return False
        Vocabulary.read_json(json_path)
    except (OSError, InputError):
        return False
    return True


def _attributes(h5: Path) -> dict[str, Any]:
    """The attributes of an HDF5 file; none when it is no HDF5 file."""
    try:
        with h5py.File(h5, "r") as file:
            return dict(file.attrs)
    except (OSError, RuntimeError, KeyError, ValueError):
        return {}
