"""The models of the runs below a folder."""

from __future__ import annotations

import itertools
from collections import UserDict
from collections.abc import Collection
from pathlib import Path

from charrnn.errors import InputError
from charrnn.extras.serve.lazy_models import LazyModel, read_facts
from charrnn.runs.folder import MODEL_FILES
from charrnn.runs.model_lookup import find_runs_by_age
from charrnn.text.training_text import get_corpus_name


class ModelFolder(UserDict[str, LazyModel]):
    """The models of the runs below a folder, by their names. The newest run is first.

    A model has the name of its training text, or of its folder; of equal names, the later ones
    have a number. A model keeps its name while its file exists.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.search()
        if not self.data:
            raise InputError(
                f"{path}: is no run, and no run below it has a model yet; `charrnn train` writes "
                f"one at its first validation"
            )

    def search(self) -> None:
        """Search the folder again."""
        runs = dict.fromkeys(find_runs_by_age(self._path))
        files = [file for run in runs if (file := run / MODEL_FILES[0]).is_file()]
        named = {model.file: model for model in self.data.values() if model.file in files}
        for file in reversed(files):
            if file not in named:
                name = get_corpus_name(read_facts(file)) or file.parent.name
                name = _number_name(name, [model.name for model in named.values()])
                named[file] = LazyModel(name, file, file.stat().st_mtime)
        self.data = {named[file].name: named[file] for file in files}


def _number_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the name itself, or with a number."""
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return name if name not in taken else next(each for each in numbered if each not in taken)
