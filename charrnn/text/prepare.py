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
from charrnn.files import lock, require_regular_file
from charrnn.options.datasets import DataOptions, SplitOptions
from charrnn.say import ProgressDisplay
from charrnn.text import sources
from charrnn.text.corpora import CORPORA, cache_folder, corpus_text, downloaded_text
from charrnn.text.preprocessing import (
    STAGES,
    output_paths,
    preprocess,
    recorded_options,
    source_name,
)
from charrnn.text.vocabulary import Vocabulary

Say = Callable[[str], None]

# a text may change twice within a tick of a file system's clock
_CLOCK_NS = 2_000_000_000


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
    text = _Text(_text_of(data, say), data)
    return text.find() or text.make(say, beside)


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


class _Text:
    """A text and the options that it is to be preprocessed with."""

    def __init__(self, input_txt: str | list[str], data: DataOptions) -> None:
        self._input_txt = input_txt
        self._files = sources.find_files(input_txt)
        if not all(path.is_file() for path in self._files):
            raise InputError(
                f"data.input_txt={shown(input_txt)}: not a file that can be read twice"
            )
        # decided here, so that files are found again whether it was asked for or chosen
        text = sources.Text(self._files, data.encoding, prefix="data.", line_ends=data.line_ends)
        arranged, _ = sources.decided(data.lines, text.pieces())
        self._found_list = data.lines == "auto" and arranged == "shuffle"
        self._options = recorded_options(data, arranged)

    def find(self) -> tuple[Path, Path] | None:
        """The files that were made from the text as it is now; this writes nothing."""
        return next((pair for pair in self._pairs() if self._status(*pair) == "current"), None)

    def make(self, say: Say, beside: bool) -> tuple[Path, Path]:
        pairs = self._pairs() if beside else self._pairs()[-1:]
        for h5, json_path in pairs:
            if self._status(h5, json_path) == "foreign":
                name = shown(self._input_txt)
                say(f"{h5}: not made from {name} with these options; left as it is")
                continue
            lock_path = h5.with_name(f".{h5.name}.lock")
            try:
                handle = lock(lock_path, wait=True)
            except RunError:
                # a folder that cannot be written; the cache is the last resort
                if (h5, json_path) == pairs[-1]:
                    raise
                continue
            assert handle is not None
            with handle:
                try:
                    # meanwhile another job may have made it
                    status = self._status(h5, json_path)
                    if status == "outdated":
                        self._preprocess(h5, json_path, say)
                    if status != "foreign":
                        return h5, json_path
                finally:
                    # whoever waits for it holds it open, and looks again before it works
                    with contextlib.suppress(OSError):
                        lock_path.unlink()
        raise RunError(f"{pairs[-1][0]}: is no file of charrnn's; delete it")

    def _preprocess(self, h5: Path, json_path: Path, say: Say) -> None:
        with ProgressDisplay(*STAGES) as report:
            split = SplitOptions(**{"lines": "keep", **self._options})
            made = preprocess(self._input_txt, h5, json_path, split, report=report, prefix="data.")
        # afterwards, so that a text that is refused has its line alone
        say(f"{h5}: preprocessed from {shown(self._input_txt)}")
        for remark in [sources.remark("data.")] * self._found_list + made.remarks:
            say(remark)

    def _pairs(self) -> list[tuple[Path, Path]]:
        """Where its HDF5 and JSON may be: beside it, if it is in one place, and in the cache."""
        beside = []
        if sources.is_one_place(self._input_txt):
            # an InputError: nothing stands beside the root folder
            with contextlib.suppress(InputError):
                beside.append(output_paths(self._input_txt, None, None))
        names = [self._input_txt] if isinstance(self._input_txt, str) else self._input_txt
        key = json.dumps([[os.path.abspath(name) for name in names], self._options])
        name = beside[0][0].stem if beside else "texts"
        name += "-" + hashlib.sha256(key.encode("ascii")).hexdigest()[:16]
        folder = cache_folder() / "prepared"
        return [*beside, (folder / f"{name}.h5", folder / f"{name}.json")]

    def _status(self, h5: Path, json_path: Path) -> str:
        """What stands under two names.

        Returns:
            ``current``: made from the text as it is now, with these options. ``outdated``: the
            names are free, or what stands there was made from an earlier state of the text.
            ``foreign``: made by somebody else, or from something else, or with other options.
        """
        if not _is_vocabulary_or_nothing(json_path):
            return "foreign"
        if not os.path.lexists(h5):
            return "outdated"
        source, vocabulary = _origin(h5)
        if (
            source.get("name") != source_name(self._input_txt)
            or source.get("options") != self._options
            or vocabulary is None
        ):
            return "foreign"
        if not json_path.exists() or vocabulary != _sha256(json_path):
            return "outdated"
        state, changed_at = sources.stat_digest(self._files)
        read_at = source.get("read_at")
        was_read_later = isinstance(read_at, int) and changed_at + _CLOCK_NS < read_at
        if was_read_later and source.get("files") == state:
            return "current"
        same = source.get("content") == sources.content_digest(self._files)
        return "current" if same else "outdated"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_vocabulary_or_nothing(json_path: Path) -> bool:
    if not os.path.lexists(json_path):
        return True
    try:
        Vocabulary.read_json(json_path)
    except InputError:
        return False
    return True


def _origin(h5: Path) -> tuple[dict[str, Any], str | None]:
    """What an HDF5 file says it was made from, and its vocabulary's checksum.

    Empty where that is not what `preprocess` writes: the attributes of a foreign file may have
    any type and any content.
    """
    try:
        require_regular_file(h5, "")
        with h5py.File(h5, "r") as file:
            source, vocabulary = file.attrs.get("source"), file.attrs.get("vocabulary")
        if not isinstance(source, str) or not isinstance(vocabulary, str):
            return {}, None
        content = json.loads(source)
    except (InputError, OSError, RuntimeError, KeyError, ValueError, TypeError, RecursionError):
        return {}, None
    return (content, vocabulary) if isinstance(content, dict) else ({}, None)
