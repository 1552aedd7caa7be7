"""The models that a server has, under their names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from charrnn.generation.choosing import Choice
from charrnn.generation.engines import Engine
from charrnn.generation.sampler import Sampler
from charrnn.generation.state import beginning
from charrnn.models.ensemble import Trained
from charrnn.serving.answers import Refusal
from charrnn.serving.limits import Limits
from charrnn.serving.scheduler import Outbox, Scheduler
from charrnn.text.vocabulary import Vocabulary

# An engine is chosen as for a text without an end: a server has time to make the fastest ready.
_ENDLESS = 1 << 20


@dataclass(frozen=True)
class Served:
    """One model with the scheduler that writes with it."""

    name: str
    trained: Trained
    scheduler: Scheduler
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def vocabulary(self) -> Vocabulary:
        return self.trained.vocabulary

    def card(self) -> dict[str, Any]:
        """As /v1/models lists it."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "charrnn",
        }


class Models:
    """All models of a server.

    Args:
        models: name -> model; the first is the one that is asked when none is named.
        engine: auto, numpy, numba or torch.
        cache_bytes: for the states along the clients' last prompts, of each model.
        post: gets the schedulers' events, from their threads.

    Raises:
        InputError: the engine cannot be had.
    """

    def __init__(
        self,
        models: Mapping[str, Trained],
        limits: Limits,
        *,
        engine: str,
        cache_bytes: int,
        post: Callable[[Outbox], None],
    ) -> None:
        self._served = {}
        for name, trained in models.items():
            sampler = Sampler(trained)
            scheduler = Scheduler(
                sampler,
                _engine(sampler, engine, limits.streams),
                streams=limits.streams,
                queue=limits.queue,
                cache_bytes=cache_bytes,
                post=post,
            )
            self._served[name] = Served(name, trained, scheduler)

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def named(self, name: str | None) -> Served:
        """The model of a name.

        Raises:
            Refusal: there is none.
        """
        if name is None:
            return next(iter(self._served.values()))
        if name not in self._served:
            known = ", ".join(self._served)
            raise Refusal(
                404,
                f"there is no model {name!r} here; there is {known}",
                param="model",
                code="model_not_found",
            )
        return self._served[name]


def _engine(sampler: Sampler, name: str, streams: int) -> Engine:
    """The engine that writes, when it is ready: what it compiles at its first call is compiled."""
    engines = sampler.engines
    engine = engines.fastest(streams, _ENDLESS) if name == "auto" else engines.named(name)
    engine.write(np.zeros(1, np.int64), beginning(sampler.model, 1), np.zeros((1, 1)), [Choice()])
    return engine
