"""The models that the server has learned. A model is read when a request first needs it."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from charrnn.extras.serve.scheduler import Outbox, Scheduler
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import ServedModel
from charrnn.extras.serve.trainings.store import Training
from charrnn.models.trained import WITH_COUNTS, select_counts
from charrnn.runs.model_lookup import read_model
from charrnn.runs.summary import Summary

_Key = tuple[str, str, int]  # the id and the name of a training, and the time of its model file


class LearnedModels:
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

    def load(self, training: Training) -> ServedModel:
        """Return the model of a training, which has one."""
        key = _make_key(training)
        with self._lock:
            if key not in self._loaded:
                for old in [old for old in self._loaded if old[0] == training.id]:
                    del self._loaded[old]
                self._loaded[key] = self._read(training)
            self._loaded.move_to_end(key)
            while len(self._loaded) > self._options.max_loaded:
                self._loaded.popitem(last=False)
            return self._loaded[key]

    def forget(self, training: Training) -> None:
        """Remove the model of a deleted training from memory."""
        with self._lock:
            for key in [key for key in self._loaded if key[0] == training.id]:
                del self._loaded[key]

    def _read(self, training: Training) -> ServedModel:
        model = select_counts(read_model(training.model), self._options.counts)
        served = ServedModel(training.name, model, self._options)
        assert self._post is not None
        served.scheduler.start(self._post)
        # The answers of open requests still refer to a model that was removed from the dict.
        weakref.finalize(served, _stop, served.scheduler).atexit = False
        return served


def _stop(scheduler: Scheduler) -> None:
    # Not in this thread, which may hold any lock while Python frees the model.
    threading.Thread(target=scheduler.stop, daemon=True).start()


def _make_key(training: Training) -> _Key:
    stamp = training.model.stat().st_mtime_ns if training.model.exists() else 0
    return training.id, training.name, stamp


def make_card(training: Training) -> dict[str, Any]:
    """Return the entry of a model in /v1/models, without reading the whole model."""
    return {
        "id": training.name, "object": "model", "created": int(training.created),
        "owned_by": "charrnn", "is_list": training.kind == "list",
        "is_code": training.kind == "code",
        "knows_words": _has_counts(training, _make_key(training)), "training": training.id,
    }  # fmt: skip


@lru_cache(maxsize=1024)
def _has_counts(training: Training, key: _Key) -> bool:
    return WITH_COUNTS in Summary(training.run).facts
