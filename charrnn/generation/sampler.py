"""Write text: from a start text, a seed and sampling params to pieces of new text.

A chunk of characters is one call of an engine. The first chunks are short, so that text appears
immediately; later chunks take about a twentieth of a second.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from charrnn.errors import InputError
from charrnn.generation.debts import NEWLINE
from charrnn.generation.draw import Drawer, Ids
from charrnn.generation.engines import Engine, make_engine
from charrnn.generation.streams import Stream, write_chunk
from charrnn.models.trained import State, TrainedModel, select_streams, zero_state
from charrnn.options.sampling import SamplingParams
from charrnn.processors import choose_device
from charrnn.text.prompt import encode_primer, fit_text
from charrnn.text.punctuation import get_punctuation

STREAMS_TOGETHER = 512  # a larger batch is not faster, and takes memory
_FIRST_CHUNK = 16  # characters
_LONGEST_CHUNK = 16384
_CHUNK_SECONDS = 0.05


class Piece(NamedTuple):
    """A part of a sample's new text; `last` marks the last piece of the sample."""

    sample: int
    text: str
    last: bool


class StartState(NamedTuple):
    """The state from which one stream continues."""

    last: int | None  # the id of the last character, which the model has not read
    state: State  # of the model before this character


def group_by_sample(pieces: Iterable[Piece], first: int = 0) -> Iterator[tuple[int, Iterator[str]]]:
    """Yield the number and the text of each sample from number `first` on, in their order.

    A text is in pieces, each as early as possible. They must be read before the next text.
    """
    ordered = _order_by_sample(pieces, first)
    for sample, group in groupby(ordered, lambda piece: piece.sample):
        yield sample, (piece.text for piece in group)


def _order_by_sample(pieces: Iterable[Piece], first: int) -> Iterator[Piece]:
    """Yield the pieces in the order of the samples, as early as possible."""
    current = first
    waiting: dict[int, list[Piece]] = {}
    for new in pieces:
        waiting.setdefault(new.sample, []).append(new)
        while current in waiting:
            for piece in waiting.pop(current):
                yield piece
                current += piece.last


class Sampler:
    """Writes with a model. It is safe to share between threads."""

    def __init__(self, model: TrainedModel) -> None:
        self.model, self.reader = model, make_engine(model)
        self._engines: dict[str, Engine] = {"cpu": self.reader}
        self._after_primer: StartState | None = None
        self._lock = threading.Lock()

    def choose_device(self, device: str, streams: int) -> str:
        """Return the device on which this number of streams is written."""
        weights = sum(weight.size for weight in self.model.weights.values())
        return choose_device(device, products=streams * weights)

    def engine(self, device: str = "auto", streams: int = 1) -> Engine:
        """Return the engine on the device for these streams."""
        device = self.choose_device(device, streams)
        with self._lock:
            if device not in self._engines:
                self._engines[device] = make_engine(self.model, device)
            return self._engines[device]

    def write(self, params: SamplingParams, samples: range | None = None) -> Iterator[Piece]:
        """Write `params.num_samples` texts of `params.length` new characters.

        The pieces of the samples of a batch alternate. Each sample has exactly one last piece.
        The pieces contain neither start_text nor `until`.

        Args:
            samples: the numbers of the samples; by default the first `params.num_samples`.

        Raises:
            InputError: immediately, not with the first piece: a character of start_text is
                unknown, all characters are banned, or torch cannot use the device here.
            RunError: during writing: the logits are not finite.
        """
        samples = range(params.num_samples) if samples is None else samples
        drawer = self.make_drawer(params)
        engine = self.engine(params.device, params.num_samples)
        prompt = self.encode_start_text(params)
        start = self.read_prompt(prompt)
        seed = draw_seed() if params.seed is None else params.seed

        def write_batches() -> Iterator[Piece]:
            for first in range(0, len(samples), STREAMS_TOGETHER):
                numbers = samples[first : first + STREAMS_TOGETHER]
                streams = [Stream(drawer, seed, n, start.last, prompt) for n in numbers]
                yield from write_batch(streams, engine, start.state)

        return write_batches()

    def make_drawer(self, params: SamplingParams) -> Drawer:
        """Return what draws the characters. Raise InputError if all characters are banned."""
        model = self.model
        return Drawer(params, model.vocabulary, model.counts, get_punctuation(model.facts))

    def read_prompt(self, ids: Ids) -> StartState:
        """Read the primer and a start text, and return the state from which new texts continue."""
        ids, state = self.prepare_prompt(ids)
        return self.continue_from(StartState(None, state), ids.tolist())

    def prepare_prompt(self, ids: Ids) -> tuple[Ids, State]:
        """Return the ids (T,) that are read before a text is written, and the state before them.

        They are the last character of the primer (a short text in the model's facts), if there is
        one, and the ids of the start text. If both are empty, they are a newline, or nothing if
        the vocabulary has no newline.
        """
        if self._after_primer is None:  # It is read once, because all prompts follow it.
            primer = encode_primer(self.model.facts, self.model.vocabulary)
            self._after_primer = self.continue_from(
                StartState(None, zero_state(self.model, 1)), primer
            )
        last, state = self._after_primer
        if last is not None:
            ids = np.append(last, ids)
        elif not len(ids) and NEWLINE in self.model.vocabulary:
            ids = self.model.vocabulary.encode(NEWLINE)
        return ids, state

    def continue_from(self, start: StartState, ids: Sequence[int]) -> StartState:
        """Return the start state after more characters. The model reads all but the last one."""
        if not ids:
            return start
        unread = [*ids[:-1]] if start.last is None else [start.last, *ids[:-1]]
        return StartState(ids[-1], self.reader.advance(np.array([unread], np.int64), start.state))

    def encode_start_text(self, params: SamplingParams) -> Ids:
        """Return the ids of start_text, in characters that the model knows, as `unknown` says."""
        text = fit_text(params.start_text, self.model.vocabulary, params.unknown).text
        try:
            return self.model.vocabulary.encode(text)
        except InputError as error:
            raise InputError(f"start_text: {error}") from None


def write_batch(streams: list[Stream], engine: Engine, state: State) -> Iterator[Piece]:
    """Write streams with the same start state (one stream) until each has ended."""
    state = select_streams(state, [0] * len(streams))
    steps = _FIRST_CHUNK
    while streams:
        start_time = time.perf_counter()
        ids, state = write_chunk(engine, streams, state, steps)
        if ids.shape[1] == steps:
            steps = adjust_chunk_size(steps, time.perf_counter() - start_time)
        unfinished = []
        for n, (stream, row) in enumerate(zip(streams, ids.tolist(), strict=True)):
            text, finish_reason = stream.append_and_show(row)
            if text or finish_reason:
                yield Piece(stream.sample, text, finish_reason is not None)
            if finish_reason is None:
                unfinished.append(n)
        if len(unfinished) < len(streams):
            streams = [streams[n] for n in unfinished]
            state = select_streams(state, unfinished)


def draw_seed() -> int:
    """Return a random seed that is short enough to type."""
    return int.from_bytes(os.urandom(4), "little")


def adjust_chunk_size(steps: int, seconds: float) -> int:
    """Return the size of the next chunk, if a chunk of `steps` characters took `seconds`."""
    if seconds > 2 * _CHUNK_SECONDS:
        return max(steps // 2, 1)
    return min(steps * 2, _LONGEST_CHUNK) if seconds < _CHUNK_SECONDS / 2 else steps
