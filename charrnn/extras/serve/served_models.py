"""A model of the server: its name, its prompts, its training text and its scheduler."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from charrnn.errors import InputError, format_install_command
from charrnn.extras.serve.completion_job import Prompt
from charrnn.extras.serve.protocol import Refusal
from charrnn.extras.serve.scheduler import Scheduler
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.generation.sampler import Sampler
from charrnn.models.trained import Trained, find_known_words
from charrnn.options.datasets import SPLITS
from charrnn.processors import print_device
from charrnn.text.prompt import fit_text, is_code
from charrnn.text.training_text import TrainingText, find_training_text

MIN_COPY = 20  # the shortest passage, in characters, that counts as copied


def _format_token(character: str) -> str:
    """Return a character, or an undecodable byte, in OpenAI's notation."""
    if "\udc80" <= character <= "\udcff":
        return f"bytes:\\x{ord(character) - 0xDC00:02x}"
    return character


class ServedModel:
    """A model of the server."""

    def __init__(self, name: str, model: Trained, options: ServeOptions) -> None:
        self.name, self.vocabulary, self._corpus = name, model.vocabulary, options.corpus
        self.tokens = list(map(_format_token, self.vocabulary.characters))  # as OpenAI writes them
        self.unknown, self._prime = options.unknown, options.prime
        self._sampler = Sampler(model, options.precision)
        device = self._sampler.choose_device(options.engine, options.device, options.streams)
        engine = self._sampler.engine(options.engine, device)
        print_device(device, options.device)
        self.scheduler = Scheduler(
            self._sampler, engine, streams=options.streams, queue=options.max_queue
        )
        self._created = int(time.time())

    def prepare_prompt(self, text: str) -> Prompt:
        """Encode a prompt. Raise InputError for an unknown character or if nothing is to read."""
        known_text = fit_text(text, self.vocabulary, self.unknown).text
        try:
            ids = self.vocabulary.encode(known_text)
        except InputError as error:
            raise InputError(f"prompt: {error}") from None
        input_ids, state = self._sampler.prepare_prompt(ids, self._prime)
        if not len(input_ids):
            raise InputError("prompt: is empty, and the model knows no newline to start after")
        return Prompt(text, ids, input_ids, state)

    @cached_property
    def _training_text(self) -> TrainingText:
        """The training text, read when a request first needs it."""
        if find_spec("pydivsufsort") is None:
            raise Refusal(404, f"copied: needs pydivsufsort; {format_install_command('novelty')}")
        return self._open_training_text()

    @cached_property
    def _known_lines(self) -> set[str]:
        # A generated line is new only if no split contains it.
        return {line.rstrip() for line in self._open_training_text(SPLITS).text.split("\n")}

    def _open_training_text(self, splits: Sequence[str] = ("train",)) -> TrainingText:
        """Read the training text. Raise Refusal if it is missing."""
        try:
            model = self._sampler.model
            return find_training_text(model.facts, model.encoding, self._corpus, splits)
        except InputError as error:
            raise Refusal(404, str(error)) from None

    def find_known_lines(self, text: str) -> list[int]:
        """Return the numbers (from 0) of the lines that the training text contains."""
        lines = self.vocabulary.as_tokens(text).split("\n")
        return [number for number, line in enumerate(lines) if line.rstrip() in self._known_lines]

    def find_copied(self, text: str) -> list[list[int]]:
        """Find the passages of `MIN_COPY` or more characters that the training text contains.

        They are ranges of characters [start, end] with gaps between them.
        """
        tokens = [self.vocabulary.as_tokens(character) for character in text]
        lengths = self._training_text.find_longest_matches("".join(tokens)).tolist()
        # The position in `text` of each token; a character has several tokens if they are bytes.
        positions = np.repeat(np.arange(len(text)), list(map(len, tokens)))
        is_copied = np.zeros(len(text) + 2, bool)
        for last, length in enumerate(lengths):
            if length >= MIN_COPY:
                is_copied[positions[last + 1 - length] + 1 : positions[last] + 2] = True
        ranges: list[list[int]] = np.flatnonzero(np.diff(is_copied)).reshape(-1, 2).tolist()
        return ranges

    def to_card(self) -> dict[str, Any]:
        """Return the model's entry in the list of /v1/models."""
        facts = self._sampler.model.facts
        return {
            "id": self.name, "object": "model", "created": self._created, "owned_by": "charrnn",
            "is_list": facts.get("is_list") is True, "is_code": is_code(facts),
            "knows_words": find_known_words(self._sampler.model) is not None,
        }  # fmt: skip
