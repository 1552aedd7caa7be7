"""Write text: from a start text, a seed and sampling params to pieces of new text.

The random numbers of a sample depend only on the seed and the sample's number. So its text depends
neither on the other samples of the batch, nor on the engine, nor on the size of the pieces. A chunk
of characters is one call of an engine. The first chunks are short, so that text appears
immediately; later chunks take about a twentieth of a second.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from charrnn.errors import InputError
from charrnn.generation.draw import RUN_LENGTH, Batch, Ids, find_banned_ids, log_softmax
from charrnn.generation.dry import LOOK_BACK, DryPenalties
from charrnn.generation.engines import Engine, make_engine, select_streams
from charrnn.models.trained import State, Trained, zero_state
from charrnn.options.sampling import SamplingParams
from charrnn.processors import choose_device
from charrnn.text.prompt import encode_primer, fit_text
from charrnn.text.vocabulary import Vocabulary

NEWLINE = "\n"
STREAMS_TOGETHER = 512  # a larger batch is not faster, and takes memory
_FIRST_CHUNK = 16  # characters
_LONGEST_CHUNK = 16384
_CHUNK_SECONDS = 0.05
_READ_AT_ONCE = 4096  # characters
MAX_REJECTED = 1000  # unusable lines in a row, after which the model is taken to have no more
_MIN_LINES, _MAX_LINES = 16, 256  # of a batch


class Piece(NamedTuple):
    """A part of a sample's new text; `last` marks the last piece of the sample."""

    sample: int
    text: str
    last: bool


class StartState(NamedTuple):
    """The state from which one stream continues."""

    last: int | None  # the id of the last character, which the model has not read
    state: State  # of the model before this character


def order_by_sample(pieces: Iterable[Piece], first: int = 0) -> Iterator[Piece]:
    """Yield the pieces in the order of the samples, from number `first`, as early as possible."""
    current = first
    waiting: dict[int, list[Piece]] = {}
    for new in pieces:
        waiting.setdefault(new.sample, []).append(new)
        while current in waiting:
            for piece in waiting.pop(current):
                yield piece
                current += piece.last


class Sampler:
    """Writes with one model or an ensemble. It is safe to share between threads.

    Args:
        precision: bits of a weight, like `SamplingParams.precision`.
    """

    def __init__(self, model: Trained, precision: int = 32) -> None:
        self.model, self.precision = model, precision
        self.reader = make_engine(model, precision=precision)
        self._engines: dict[tuple[str, str], Engine] = {("auto", "cpu"): self.reader}
        self._after_primer: StartState | None = None
        self._lock = threading.Lock()

    def choose_device(self, engine: str, device: str, streams: int) -> str:
        """Return the device on which an engine writes this number of streams."""
        if engine == "numpy" or self.precision == 8:
            return "cpu"
        weights = sum(w.size for member in self.model.members for w in member.weights.values())
        return choose_device(device, streams * weights)

    def engine(self, name: str = "auto", device: str = "auto", streams: int = 1) -> Engine:
        """Return the engine of a name (auto, numpy or torch) on the device for these streams."""
        key = name, self.choose_device(name, device, streams)
        with self._lock:
            if key not in self._engines:
                self._engines[key] = make_engine(self.model, name, self.precision, key[1])
            return self._engines[key]

    def write(self, params: SamplingParams, samples: range | None = None) -> Iterator[Piece]:
        """Write `params.num_samples` texts of `params.length` new characters.

        The pieces of the samples of a batch alternate. Each sample has exactly one last piece.
        The pieces contain neither start_text nor `until`.

        Args:
            samples: the numbers of the samples; by default the first `params.num_samples`.

        Raises:
            InputError: immediately, not with the first piece: a character of start_text is
                unknown, all characters are banned, the engine has no kernel for the cell, or torch
                cannot use the device here.
            RunError: during writing: the logits are not finite.
        """
        if params.precision != self.precision:
            raise ValueError(f"precision={params.precision}: the sampler has {self.precision}")
        samples = range(params.num_samples) if samples is None else samples
        find_banned_ids(params, self.model.vocabulary)
        engine = self.engine(params.engine, params.device, params.num_samples)
        start = self.read_start(params)
        seed = draw_seed() if params.seed is None else params.seed

        def write_batches() -> Iterator[Piece]:
            for first in range(0, len(samples), STREAMS_TOGETHER):
                numbers = samples[first : first + STREAMS_TOGETHER]
                streams = [self.make_stream(params, seed, sample, start.last) for sample in numbers]
                yield from _write_batch(streams, engine, start.state)

        return write_batches()

    def make_stream(
        self, params: SamplingParams, seed: int, sample: int, last: int | None
    ) -> Stream:
        """Return the stream of a sample before its first new character."""
        vocabulary, until = self.model.vocabulary, params.until
        return Stream(
            params,
            vocabulary,
            seed=seed,
            sample=sample,
            last=last,
            start=self._encode_start_text(params),
            stops=() if until is None else (vocabulary.as_tokens(until),),
        )

    def read_start(self, params: SamplingParams) -> StartState:
        """Read the primer and start_text, and return the state from which new texts continue."""
        ids, state = self.prepare_prompt(self._encode_start_text(params), params.prime)
        return self.advance(StartState(None, state), ids.tolist())

    def prepare_prompt(self, ids: Ids, prime: str = "text") -> tuple[Ids, State]:
        """Return the ids (T,) that are read before a text is written, and the state before them.

        They are the last character of the primer, if there is one, and the ids of the start text.
        If both are empty, they are a newline, or nothing if the vocabulary has no newline.
        """
        last, state = None, zero_state(self.model, 1)
        if prime == "text":
            if self._after_primer is None:
                primer = encode_primer(self.model.facts, self.model.vocabulary)
                self._after_primer = self.advance(StartState(None, state), primer)
            last, state = self._after_primer
        if last is not None:
            ids = np.append(last, ids)
        elif not len(ids) and NEWLINE in self.model.vocabulary:
            ids = self.model.vocabulary.encode(NEWLINE)
        return ids, state

    def advance(self, start: StartState, ids: Sequence[int]) -> StartState:
        """Return the state after more characters."""
        if not ids:
            return start
        unread = [*ids[:-1]] if start.last is None else [start.last, *ids[:-1]]
        return StartState(ids[-1], self.reader.advance(np.array([unread], np.int64), start.state))

    def _encode_start_text(self, params: SamplingParams) -> Ids:
        """Return the ids of start_text, in characters that the model knows, as `unknown` says."""
        text = fit_text(params.start_text, self.model.vocabulary, params.unknown).text
        try:
            return self.model.vocabulary.encode(text)
        except InputError as error:
            raise InputError(f"start_text: {error}") from None

    def compute_log_prob(self, params: SamplingParams, text: str) -> float:
        """Return the log-probability of new text after start_text, in nats.

        Only the model counts, without temperature and filters. If nothing precedes the text, its
        first character does not count.
        """
        last, state = self.read_start(params)
        ids = self.model.vocabulary.encode(text)
        if last is not None:
            ids = np.append(last, ids)
        total = 0.0
        for first in range(0, len(ids) - 1, _READ_AT_ONCE):
            part = ids[first : first + _READ_AT_ONCE + 1]
            logits, state = self.reader.read(part[None, :-1], state)
            total += float(log_softmax(logits[0])[np.arange(len(part) - 1), part[1:]].sum())
        return total


def _write_batch(streams: list[Stream], engine: Engine, state: State) -> Iterator[Piece]:
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


class Line(NamedTuple):
    """A line, including start_text, and the number of its sample."""

    text: str
    sample: int


def write_lines(
    sampler: Sampler, params: SamplingParams, known: Container[str] = ()
) -> Iterator[Line]:
    """Write up to `params.num_samples` different lines, each after a newline.

    The lines are the first usable samples of the seed: not empty, new, not in `known`, and complete
    within `params.length` characters. White space at the end of a line is removed. After
    `MAX_REJECTED` unusable samples in a row, no more lines are written.

    Args:
        known: lines in the vocabulary's characters.

    Raises:
        InputError: immediately: `params.until` is set, the model knows no newline, or as
            `Sampler.write`.
        RunError: as `Sampler.write`.
    """
    if NEWLINE not in sampler.model.vocabulary:
        raise InputError(
            "mode=lines: the model knows no newline; train on a text with one entry in each line"
        )
    if params.until is not None:
        raise InputError("until: a line ends at its newline; leave until= or mode=lines out")
    if NEWLINE in params.start_text:
        raise InputError("start_text: starts each line, so it must not contain a line break")
    seed = draw_seed() if params.seed is None else params.seed
    # The newline at the end is one more character.
    params = replace(params, until=NEWLINE, length=params.length + 1, seed=seed)
    sampler.write(params, range(0))  # Raises InputError for wrong parameters.

    def write_usable() -> Iterator[Line]:
        seen: set[str] = set()
        next_sample, num_rejected = 0, 0
        while num_rejected < MAX_REJECTED:
            missing = params.num_samples - len(seen)
            batch_size = min(max(_MIN_LINES, missing + missing // 4), _MAX_LINES)
            samples = range(next_sample, next_sample + batch_size)
            next_sample = samples.stop
            pieces = order_by_sample(sampler.write(params, samples), samples.start)
            for sample, sample_pieces in itertools.groupby(pieces, lambda piece: piece.sample):
                new = "".join(piece.text for piece in sample_pieces)
                line = (params.start_text + new).rstrip()
                is_known = sampler.model.vocabulary.as_tokens(line) in known
                num_rejected += 1
                if len(new) < params.length and line and line not in seen and not is_known:
                    seen.add(line)
                    num_rejected = 0
                    yield Line(line, sample)
                if len(seen) == params.num_samples or num_rejected == MAX_REJECTED:
                    return

    return write_usable()


class StopStrings:
    """Ends one text before the first stop string that is complete in it.

    Text that may be the start of a stop string is held back. So the size of the pieces in which the
    text arrives makes no difference.

    Args:
        stops: texts of one or more characters; if there are none, the text is never ended.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Add text. Return the text that can be shown now, and whether a stop string ends it."""
        text = self._held + text
        matches = [(at + len(s), at) for s in self._stops if (at := text.find(s)) >= 0]
        if matches:
            _, start = min(matches)
            return text[:start], True
        starts = (s[:n] for s in self._stops for n in range(1, min(len(s), len(text) + 1)))
        shown = len(text) - max((len(start) for start in starts if text.endswith(start)), default=0)
        self._held = text[shown:]
        return text[:shown], False

    def flush(self) -> str:
        """Return the text that was held back, because the text has ended."""
        held, self._held = self._held, ""
        return held


class Stream:
    """A text that is being written.

    Args:
        seed, sample: select the random numbers.
        last: the id of the last character before the new text; None if there is none.
        start: the ids before the new text that count for penalties and runs of blanks.
        stops: texts, in the vocabulary's characters, before which the new text ends.

    Attributes:
        last: the id of the newest character, which the model has not read.
        num_written: the number of new characters.
        text: the ids of start and new text; only the last few unless `keeps_text`.
        keeps_text: whether `text` is complete, as `remove` needs it.
        dry: the penalties after the text; None without penalties.
    """

    def __init__(
        self,
        params: SamplingParams,
        vocabulary: Vocabulary,
        *,
        seed: int,
        sample: int,
        last: int | None,
        start: Sequence[int] | Ids = (),
        stops: Sequence[str] = (),
    ) -> None:
        self.params, self.vocabulary, self.sample = params, vocabulary, sample
        self.uniforms = make_rng(seed, sample)
        self.last, self.num_written = last, 0
        self.text, self.keeps_text = np.array(start[-LOOK_BACK:]).tolist(), False
        self.dry = DryPenalties(params, self.text) if params.dry_multiplier > 0 else None
        self.stops = StopStrings(stops)

    @property
    def num_left(self) -> int:
        """The number of characters that are not yet written."""
        return self.params.length - self.num_written

    def append(self, ids: list[int]) -> list[int]:
        """Append new ids up to the requested length. Return the ids that were appended."""
        ids = ids[: self.num_left]
        if ids:
            self.last = ids[-1]
            self.num_written += len(ids)
            self.text += ids
            if not self.keeps_text:
                del self.text[:-RUN_LENGTH]
            if self.dry is not None:
                for id_ in ids:
                    self.dry.append(id_)
        return ids

    def remove(self, characters: int) -> None:
        """Remove the last characters. The caller sets `last` to the new last character."""
        self.num_written -= characters
        if characters:
            del self.text[-characters:]
            if self.dry is not None:
                self.dry = DryPenalties(self.params, self.text)

    def append_and_show(self, ids: list[int]) -> tuple[str, str | None]:
        """Append new ids. Return the text that can be shown now, and the reason if it has ended.

        The reason is "stop" after a stop string, and "length" after the requested length.
        """
        text, is_stopped = self.stops.push(self.vocabulary.decode(self.append(ids)))
        if is_stopped:
            return text, "stop"
        if self.num_left:
            return text, None
        return text + self.stops.flush(), "length"


def write_chunk(
    engine: Engine, streams: Sequence[Stream], state: State, steps: int
) -> tuple[Ids, State]:
    """Return the next characters of unfinished streams.

    Args:
        state: before the last character of each stream. Either all streams have one, or none.
        steps: the most characters. Without a last character, only one is drawn.

    Returns:
        The ids (N, T), of which a stream needs at most `num_left`, and the state before the last.
    """
    if streams[0].last is None:
        return np.array([[_draw_first_id(stream)] for stream in streams]), state
    num_left = np.array([stream.num_left for stream in streams])
    T = min(steps, int(num_left.max()))
    uniforms = np.stack([stream.uniforms.random(T) for stream in streams])
    last = np.array([stream.last for stream in streams])
    batch = Batch(
        [stream.params for stream in streams],
        streams[0].vocabulary,
        [stream.text[-RUN_LENGTH:] for stream in streams],
        {n: copy(stream.dry) for n, stream in enumerate(streams) if stream.dry is not None},
    )
    return engine.write(last, state, uniforms, batch, np.minimum(num_left, T))


def _draw_first_id(stream: Stream) -> int:
    """Draw the first character of a text: all that are not banned are equally likely."""
    banned = find_banned_ids(stream.params, stream.vocabulary)
    allowed = np.delete(np.arange(len(stream.vocabulary)), banned)
    return int(allowed[int(stream.uniforms.random() * len(allowed))])


def make_rng(seed: int, sample: int) -> np.random.Generator:
    """Return the random numbers of a sample. Each character takes one."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(sample,))))
