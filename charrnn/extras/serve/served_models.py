"""A model that a server has: its name, how it reads prompts, and the scheduler that writes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from charrnn.errors import InputError, install
from charrnn.extras.serve.completion_job import Prompt
from charrnn.extras.serve.protocol import Refusal
from charrnn.extras.serve.scheduler import Scheduler
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.generation.sampler import Sampler, in_characters_of
from charrnn.models.trained import Trained
from charrnn.options.datasets import SPLITS
from charrnn.text.prompt import fit_text
from charrnn.text.training_text import TrainingText, find_training_text

SHORTEST_COPY = 20  # characters in a row that count as copied


def _token(character: str) -> str:
    """A character, or a byte that is none, as OpenAI writes it."""
    if "\udc80" <= character <= "\udcff":
        return f"bytes:\\x{ord(character) - 0xDC00:02x}"
    return character


class Served:
    """One model of a server.

    Attributes:
        tokens: the vocabulary as OpenAI writes it.

    Raises:
        InputError: the engine or the precision cannot be had.
    """

    def __init__(self, name: str, model: Trained, options: ServeOptions) -> None:
        self.name, self.vocabulary, self._corpus = name, model.vocabulary, options.corpus
        self.tokens = list(map(_token, self.vocabulary.characters))
        self.unknown, self._prime = options.unknown, options.prime
        self._sampler = Sampler(model, options.precision)
        engine = self._sampler.engine(options.engine)
        self.scheduler = Scheduler(
            self._sampler, engine, streams=options.streams, queue=options.max_queue
        )
        self._created = int(time.time())

    def prompt(self, text: str) -> Prompt:
        """How a prompt is gone on from.

        Raises:
            InputError: it has a character that the model does not know, and that counts, or
                nothing is left to go on from.
        """
        readable = fit_text(text, self.vocabulary, self.unknown).text
        try:
            ids = self.vocabulary.encode(readable)
        except InputError as error:
            raise InputError(f"prompt: {error}") from None
        to_read, state = self._sampler.prompt(readable, self._prime)
        if not len(to_read):
            raise InputError("prompt: is empty, and the model knows no newline to begin after")
        return Prompt(text, ids, to_read, state)

    @cached_property
    def _training_text(self) -> TrainingText:
        """Read when it is first asked for."""
        if find_spec("pydivsufsort") is None:
            raise Refusal(404, f"copied: needs pydivsufsort; {install('novelty')}")
        return self._find_text()

    @cached_property
    def _lines(self) -> set[str]:
        # a line of one's own is no new one, whichever split it stands in
        return {line.rstrip() for line in self._find_text(SPLITS).text.split("\n")}

    def _find_text(self, splits: Sequence[str] = ("train",)) -> TrainingText:
        try:
            model = self._sampler.model
            return find_training_text(model.facts, model.encoding, self._corpus, splits)
        except InputError as error:
            raise Refusal(404, str(error)) from None

    def lines(self, text: str) -> list[int]:
        """The numbers of those lines of a text that are lines of the training text.

        Raises:
            Refusal: there is no training text to look in.
        """
        lines = in_characters_of(self.vocabulary, text).split("\n")
        return [number for number, line in enumerate(lines) if line.rstrip() in self._lines]

    def copied(self, text: str) -> list[list[int]]:
        """The passages of a text that stand in the training text, of `SHORTEST_COPY` or more.

        Returns:
            ranges of characters that do not touch.

        Raises:
            Refusal: there is no training text to look in.
        """
        each = [in_characters_of(self.vocabulary, character) for character in text]
        lengths = self._training_text.longest_matches("".join(each)).tolist()
        # of each of the model's characters, of which one of the text has several in a model of
        # bytes, the place in the text
        places = np.repeat(np.arange(len(text)), list(map(len, each)))
        is_copied = np.zeros(len(text) + 2, bool)
        for last, length in enumerate(lengths):
            if length >= SHORTEST_COPY:
                is_copied[places[last + 1 - length] + 1 : places[last] + 2] = True
        ranges: list[list[int]] = np.flatnonzero(np.diff(is_copied)).reshape(-1, 2).tolist()
        return ranges

    def card(self) -> dict[str, Any]:
        """As /v1/models lists it."""
        return {
            "id": self.name, "object": "model", "created": self._created, "owned_by": "charrnn",
            "is_list": self._sampler.model.facts.get("is_list") is True,
        }  # fmt: skip
