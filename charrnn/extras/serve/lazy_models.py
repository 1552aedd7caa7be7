"""Models that are read when a request first needs them."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from charrnn.errors import InputError
from charrnn.extras.serve.scheduler import Outbox, Scheduler
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import ServedModel
from charrnn.models import model_file
from charrnn.models.trained import WITH_COUNTS, select_counts
from charrnn.runs.model_lookup import read_model
from charrnn.text.code import is_code
from charrnn.text.prompt import get_primer


@dataclass(frozen=True)
class LazyModel:
    """The model of a run.

    Attributes:
        file: model.safetensors.
        created: seconds since 1970.
    """

    name: str
    file: Path
    created: float

    def to_card(self) -> dict[str, Any]:
        """Return the entry of the model in /v1/models, without reading the whole model."""
        return {
            "id": self.name, "object": "model", "created": int(self.created),
            "owned_by": "charrnn", **_describe(self.file, _stamp(self.file)),
        }  # fmt: skip


def _stamp(file: Path) -> int:
    """Return the time of a file in nanoseconds; 0 if it is missing."""
    with suppress(OSError):  # The user may delete it.
        return file.stat().st_mtime_ns
    return 0


def read_facts(file: Path) -> dict[str, Any]:
    """Return the facts of a model file; {} if it cannot be read."""
    with suppress(InputError):
        return model_file.read_facts(file)
    return {}


@lru_cache(maxsize=1024)
def _describe(file: Path, time: int) -> dict[str, bool]:
    facts = read_facts(file)
    is_list = facts.get("is_list") is True  # A list has no table of words.
    knows_words = WITH_COUNTS in facts and not is_list
    return {"is_list": is_list, "is_code": is_code(get_primer(facts)), "knows_words": knows_words}


_Key = tuple[Path, str, int]  # the file, the name, and the time of the file


class LoadedModels:
    """The models in memory, at most `options.max_loaded`. Its methods may be called in any thread.

    A model is read again after each validation that has improved it. A request keeps the model
    with which it began.
    """

    def __init__(self, options: ServeOptions) -> None:
        self._options = replace(options, corpus=None)  # Each model has another text.
        self._post: Callable[[Outbox], None] | None = None
        self._lock = threading.Lock()
        self._loaded: OrderedDict[_Key, ServedModel] = OrderedDict()

    def start(self, post: Callable[[Outbox], None]) -> None:
        """Send the events of all schedulers to `post`."""
        self._post = post

    def load(self, model: LazyModel) -> ServedModel:
        """Return the model, which is read if it is not in memory."""
        key = (model.file, model.name, _stamp(model.file))
        with self._lock:  # Reading several models at a time could exceed the memory.
            if key not in self._loaded:
                for old in [old for old in self._loaded if old[0] == model.file]:
                    del self._loaded[old]
                self._loaded[key] = self._read_and_start(model)
            self._loaded.move_to_end(key)
            while len(self._loaded) > self._options.max_loaded:
                self._loaded.popitem(last=False)
            return self._loaded[key]

    def _read_and_start(self, model: LazyModel) -> ServedModel:
        """Read a model and start its scheduler, which stops when nothing refers to the model."""
        trained = select_counts(read_model(model.file), self._options.counts)
        served = ServedModel(model.name, trained, self._options)
        assert self._post is not None
        served.scheduler.start(self._post)
        # Open requests may outlive the model's place in the dict. At exit nothing needs to stop,
        # because the scheduler's thread is a daemon.
        weakref.finalize(served, _stop, served.scheduler).atexit = False
        return served


def _stop(scheduler: Scheduler) -> None:
    # Not in this thread, which may hold any lock while Python frees the model.
    threading.Thread(target=scheduler.stop, daemon=True).start()
