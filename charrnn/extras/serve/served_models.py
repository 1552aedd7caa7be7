"""The models that a server has, under their names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from charrnn.errors import InputError, shown
from charrnn.extras.serve.protocol import Refusal
from charrnn.extras.serve.scheduler import Outbox, Scheduler
from charrnn.extras.serve.serve_command import Limits
from charrnn.generation.engines import Engine
from charrnn.generation.sampler import Sampler
from charrnn.generation.state import State, beginning
from charrnn.generation.token_sampler import Ids
from charrnn.models.ensemble import Trained
from charrnn.options.sampling import SamplingParams
from charrnn.text.unknown_characters import fitted
from charrnn.text.vocabulary import Vocabulary

# An engine is chosen as for a text without an end: a server has time to make the fastest ready.
_ENDLESS = SamplingParams(1 << 20)


class HowToRead(NamedTuple):
    """`unknown` and `prime` of `SamplingParams`, for all prompts."""

    unknown: str = "replace"
    prime: str = "text"


class Prompt(NamedTuple):
    """A prompt as one model reads it.

    Attributes:
        text: as it was asked.
        ids: its characters (T,), as far as the model knows them.
        read: what is read, ids from 0, and state: that before it, as `Sampler.known` gives them.
    """

    text: str
    ids: Ids
    read: Ids
    state: State


@dataclass(frozen=True)
class Served:
    """One model with the scheduler that writes with it."""

    name: str
    sampler: Sampler
    scheduler: Scheduler
    reading: HowToRead
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def vocabulary(self) -> Vocabulary:
        return self.sampler.model.vocabulary

    def prompt(self, text: str) -> Prompt:
        """How a prompt is gone on from.

        Raises:
            Refusal: it has a character that the model does not know, and that counts.
        """
        known = fitted(text, self.vocabulary, self.reading.unknown).text
        try:
            ids = self.vocabulary.encode(known)
        except InputError as error:
            raise Refusal(400, f"prompt: {error}", param="prompt") from None
        return Prompt(text, ids, *self.sampler.known(known, self.reading.prime))

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
        precision: bits of a weight, 32 or 8.
        reading: how prompts are read.
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
        precision: int,
        reading: HowToRead,
        cache_bytes: int,
        post: Callable[[Outbox], None],
    ) -> None:
        self._served = {}
        for name, trained in models.items():
            sampler = Sampler(trained, precision)
            scheduler = Scheduler(
                sampler,
                _engine(sampler, engine, limits.streams),
                streams=limits.streams,
                queue=limits.max_queue,
                cache_bytes=cache_bytes,
                post=post,
            )
            self._served[name] = Served(name, sampler, scheduler, reading)

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
                f"there is no model {shown(name)!r} here; there is {known}",
                param="model",
                code="model_not_found",
            )
        return self._served[name]


def _engine(sampler: Sampler, name: str, streams: int) -> Engine:
    """The engine that writes, when it is ready: what it compiles at its first call is compiled."""
    engines = sampler.engines
    engine = engines.fastest(streams, _ENDLESS) if name == "auto" else engines.named(name)
    engine.write(np.zeros(1, np.int64), beginning(sampler.model, 1), np.zeros((1, 1)), [_ENDLESS])
    return engine
