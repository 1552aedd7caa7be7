"""A model of the server: its name, its prompts, its training text and its scheduler."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from charrnn.errors import InputError, format_install_command
from charrnn.extras.serve.completion_job import Prompt
from charrnn.extras.serve.protocol import Refusal, as_json
from charrnn.extras.serve.scheduler import Scheduler
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.generation.next_words import search_next_words
from charrnn.generation.sampler import Sampler
from charrnn.models.trained import TrainedModel, select_counts
from charrnn.options.datasets import SPLITS
from charrnn.processors import print_device
from charrnn.text import prompt
from charrnn.text.code import is_code
from charrnn.text.training_text import TrainingText, find_training_text

MIN_COPY = 20  # the shortest passage, in characters, that counts as copied
_BLOCK = 256  # characters; they take some 5 ms if the model knows none of them
# A quote's replacement depends on the character before it, so no block starts with one.
_BLOCKS = re.compile(rf"(?s:.{{1,{_BLOCK}}})[{''.join(prompt.CURLY_QUOTES)}]*")


def _format_token(character: str) -> str:
    """Return a character, or an undecodable byte, in OpenAI's notation."""
    if "\udc80" <= character <= "\udcff":
        return f"bytes:\\x{ord(character) - 0xDC00:02x}"
    return character


class ServedModel:
    """A model of the server. Its generators are blocks of its scheduler's jobs."""

    def __init__(self, name: str, model: TrainedModel, options: ServeOptions) -> None:
        self.name, self._options = name, options
        self.vocabulary = model.vocabulary
        self.tokens = list(map(_format_token, self.vocabulary.characters))  # as OpenAI writes them
        self.unknown = options.unknown
        self._sampler = Sampler(model)
        device = self._sampler.choose_device(options.device, options.streams)
        engine = self._sampler.engine(device)
        print_device(device, options.device)
        self.scheduler = Scheduler(self._sampler, engine, streams=options.streams)
        self._created = int(time.time())

    @cached_property
    def plain(self) -> ServedModel:
        """The network of the model alone, with a scheduler of its own, for plain completions."""
        model = select_counts(self._sampler.model, "auto", plain=True)
        served = ServedModel(self.name, model, self._options)
        served.scheduler.start(self.scheduler.post)
        return served

    def prepare_prompt(self, text: str, needs_positions: bool) -> Generator[None, None, Prompt]:
        """Encode a prompt. Raise InputError for an unknown character or if nothing is to read."""
        vocabulary, unknown = self.vocabulary, self.unknown
        parts, positions, start = [np.array([], int)], [np.array([], int)], 0
        for block in _BLOCKS.findall(text):
            try:
                parts.append(vocabulary.encode(prompt.fit_text(block, vocabulary, unknown).text))
            except InputError as error:
                raise InputError(f"prompt: {error}") from None
            if needs_positions:
                found = prompt.find_source_positions(block, vocabulary, unknown)
                positions.append(np.array(found, int) + start)
                start += len(block)
            yield
        ids = np.concatenate(parts)
        input_ids, state = self._sampler.prepare_prompt(ids)
        if not len(input_ids):
            raise InputError("prompt: is empty, and the model knows no newline to start after")
        return Prompt(text, ids, input_ids, state, np.concatenate(positions))

    @cached_property
    def training_text(self) -> TrainingText:
        """The training text, read when a request first needs it."""
        if find_spec("pydivsufsort") is None:
            raise Refusal(404, f"copied: needs pydivsufsort; {format_install_command('novelty')}")
        training_text = self._open_training_text()
        _ = "\n" in training_text  # The first search builds the suffix array, without the GIL.
        return training_text

    @cached_property
    def known_lines(self) -> set[str]:
        """The lines of the training text."""
        # A generated line is new only if no split contains it.
        return {line.rstrip() for line in self._open_training_text(SPLITS).text.split("\n")}

    def _open_training_text(self, splits: Sequence[str] = ("train",)) -> TrainingText:
        """Read the training text. Raise Refusal if it is missing."""
        try:
            model = self._sampler.model
            return find_training_text(model.facts, model.encoding, self._options.corpus, splits)
        except InputError as error:
            raise Refusal(404, str(error)) from None

    def find_known_lines(self, text: str, known: set[str]) -> Generator[None, None, bytes]:
        """Return the numbers (from 0) of the lines that the training text contains, as JSON."""
        lines, parts = self.vocabulary.as_tokens(text).split("\n"), list[bytes]()
        for start in range(0, len(lines), _BLOCK):
            block = enumerate(lines[start : start + _BLOCK], start)
            parts.append(as_json([n for n, line in block if line.rstrip() in known])[1:-1])
            yield
        return b'{"lines":[' + b",".join(filter(None, parts)) + b"]}"

    def find_copied(self, text: str, training: TrainingText) -> Generator[None, None, bytes]:
        """Return the passages of `MIN_COPY` or more tokens that the training text contains.

        They are, as JSON, ranges of characters [start, end] with gaps between them. Each yield
        lets other requests run.
        """
        passage, sizes = "", bytearray()  # a character has several tokens if they are bytes
        for block in _BLOCKS.findall(text):
            tokens = list(map(self.vocabulary.as_tokens, block))
            passage += "".join(tokens)
            sizes += bytes(map(len, tokens))
            yield
        # the position in `text` of each token
        positions = np.repeat(np.arange(len(text), dtype=np.int32), np.frombuffer(sizes, np.uint8))
        # Character i has the index i + 1, so that `np.diff` finds also a range at an end.
        is_copied = np.zeros(len(text) + 2, bool)
        for start in range(len(passage) - MIN_COPY + 1):
            if passage[start : start + MIN_COPY] in training:
                is_copied[positions[start] + 1 : positions[start + MIN_COPY - 1] + 2] = True
            if start % _BLOCK == 0:
                yield
        ranges = np.flatnonzero(np.diff(is_copied)).reshape(-1, 2).tolist()
        return as_json({"ranges": ranges})

    def find_replacements(self, text: str) -> Generator[None, None, bytes]:
        """Return the text by which the model replaces each unknown character, as JSON."""
        parts = []
        for block in _BLOCKS.findall("".join(dict.fromkeys(text))):
            found = prompt.find_replacements(block, self.vocabulary, self.unknown)
            parts.append(as_json(found)[1:-1])
            yield
        return b'{"read_as":{' + b",".join(filter(None, parts)) + b"}}"

    def find_next_words(self, text: str, k: int) -> Generator[None, None, bytes]:
        """Return the k likeliest next words and marks after a prompt, as JSON."""
        prepared = yield from self.prepare_prompt(text, needs_positions=False)
        state = yield from self.scheduler.read_prompt(prepared)
        step = self._sampler.reader.step
        logits, state = step(prepared.input_ids[-1:], state)
        found = yield from search_next_words(step, self.vocabulary, logits, state, k)
        words = [{"text": self._decode(word), "probability": share} for word, share in found]
        return as_json({"words": words})

    def _decode(self, text: str) -> str:
        """Return a text of this vocabulary as characters."""
        if not self.vocabulary.is_bytes:
            return text
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def to_card(self) -> dict[str, Any]:
        """Return the model's entry in the list of /v1/models."""
        facts = self._sampler.model.facts
        return {
            "id": self.name, "object": "model", "created": self._created, "owned_by": "charrnn",
            "is_list": facts.get("is_list") is True, "is_code": is_code(prompt.get_primer(facts)),
            "knows_words": (c := self._sampler.model.counts) is not None and c.words is not None,
        }  # fmt: skip
