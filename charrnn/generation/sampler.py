"""Writing text: from a start text, a seed and a choice to pieces of new text as they come.

Sample number i of a call has random numbers of its own, drawn from the call's seed and i:
what it says depends neither on how many are written beside it, nor on the engine, nor on
the pieces it comes in. A chunk of characters is one call of an engine; the first chunks are
short, so that the text begins at once, and the later ones as long as a twentieth of a second.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from charrnn.errors import InputError
from charrnn.generation.engines import Engine, Engines
from charrnn.generation.numpy_engine import State, beginning, rows_of
from charrnn.generation.stream import Stream, write_on
from charrnn.generation.token_sampler import Ids, banned_ids, log_softmax
from charrnn.models.ensemble import Trained
from charrnn.options.sampling import SamplingParams
from charrnn.text.primer import primer_of
from charrnn.text.unknown_characters import fitted
from charrnn.text.vocabulary import Vocabulary

NEWLINE = "\n"
STREAMS_TOGETHER = 512  # more in one batch write no faster, and take memory
_FIRST_CHUNK = 16  # characters
_LONGEST_CHUNK = 16384
_CHUNK_SECONDS = 0.05
_READ_AT_ONCE = 4096  # characters
# So many lines in a row that cannot be used, and the model is taken to have no more
GIVES_UP_AFTER = 1000
_LEAST_TOGETHER, _MOST_TOGETHER = 16, 256


class Piece(NamedTuple):
    """A part of a sample's new text; `last` when nothing follows."""

    sample: int
    text: str
    last: bool


class Beginning(NamedTuple):
    """What one stream goes on from.

    Attributes:
        last: the id of the last character, not yet taken in; None: there is none.
        state: that before it.
    """

    last: int | None
    state: State

    def then(self, ids: Sequence[int], reader: Engine) -> Beginning:
        """The same after these characters."""
        if not len(ids):
            return self
        known = ids if self.last is None else [self.last, *ids]
        taken_in = np.array(known[:-1], np.int64)[None]
        return Beginning(known[-1], reader.advance(taken_in, self.state))


def in_order(pieces: Iterable[Piece], first: int = 0) -> Iterator[Piece]:
    """The pieces of a batch, one sample after another, each as soon as its turn has come.

    Args:
        first: the number of the first sample.
    """
    turn = first
    waiting: dict[int, list[Piece]] = {}
    for new in pieces:
        waiting.setdefault(new.sample, []).append(new)
        while turn in waiting:
            for piece in waiting.pop(turn):
                yield piece
                turn += piece.last


class Sampler:
    """Writes with one model, or with an ensemble. Safe to share between threads.

    Args:
        precision: bits of a weight, that of what it is asked.

    Raises:
        InputError: the model cannot be had in this precision.
    """

    def __init__(self, model: Trained, precision: int = 32) -> None:
        self.model = model
        self.engines = Engines(model, precision)
        self._after_primer: Beginning | None = None

    def write(self, options: SamplingParams, samples: range | None = None) -> Iterator[Piece]:
        """Write `options.num_samples` texts of `options.length` new characters.

        The samples of a batch take turns, a piece each; every sample has one last piece.
        start_text is not repeated, and `until` neither written nor passed.

        Args:
            samples: the numbers of those to write, instead of the first `options.num_samples`.

        Raises:
            InputError: at once, not when the first piece is asked for: a character of
                start_text is unknown, every character is banned, or the engine asked for is not
                installed or has no kernel for the model's cell.
            RunError: while writing: the model's scores are not numbers.
        """
        if options.precision != self.engines.precision:
            raise ValueError(f"precision={options.precision}: this sampler has another")
        samples = range(options.num_samples) if samples is None else samples
        require_choosable(options, self.model.vocabulary)
        engine = self.engine_for(options, min(len(samples), STREAMS_TOGETHER))
        return self._write(options, samples, engine, self.beginning_of(options))

    def engine_for(self, options: SamplingParams, streams: int) -> Engine:
        """The engine that writes so many texts side by side.

        Raises:
            InputError: the one asked for is not installed or has no kernel for the model's cell.
        """
        if options.engine == "auto":
            return self.engines.fastest(streams, options)
        return self.engines.named(options.engine)

    def beginning_of(self, options: SamplingParams) -> Beginning:
        """What the texts that are asked for go on from.

        Raises:
            InputError: a character of start_text is unknown.
        """
        return self.begin(self._start_text(options), options.prime)

    def _start_text(self, options: SamplingParams) -> str:
        """As far as the model reads it."""
        return fitted(options.start_text, self.model.vocabulary, options.unknown).text

    def stream(self, options: SamplingParams, seed: int, sample: int, last: int | None) -> Stream:
        """One of the texts that are asked for, before it is written."""
        vocabulary = self.model.vocabulary
        return Stream(
            options,
            vocabulary,
            seed=seed,
            sample=sample,
            last=last,
            start=self._ids_of(self._start_text(options)),
            stops=() if options.until is None else (in_characters_of(vocabulary, options.until),),
        )

    def begin(self, start_text: str = "", prime: str = "text") -> Beginning:
        """What a text goes on from after the primer, if there is one, and a start text.

        Where there is neither, that is a newline; in a vocabulary without one, nothing.

        Args:
            prime: as `SamplingParams.prime`.

        Raises:
            InputError: a character of start_text is unknown.
        """
        ids, reader = self._ids_of(start_text), self.engines.reader
        begins = self._before(prime).then(ids.tolist(), reader)
        return begins if begins.last is not None else begins.then(self._newline().tolist(), reader)

    def known(self, start_text: str = "", prime: str = "text") -> tuple[Ids, State]:
        """What `begin` takes in: the last characters (T,) of it, and the state before them."""
        last, state = self._before(prime)
        ids = self._ids_of(start_text)
        if last is not None:
            return np.append(last, ids), state
        return (ids if len(ids) else self._newline()), state

    def _ids_of(self, start_text: str) -> Ids:
        try:
            return self.model.vocabulary.encode(start_text)
        except InputError as error:
            raise InputError(f"start_text: {error}") from None

    def _newline(self) -> Ids:
        """What stands before a text that begins with nothing; no id where there is none."""
        vocabulary = self.model.vocabulary
        return vocabulary.encode(NEWLINE if NEWLINE in vocabulary else "")

    def _before(self, prime: str) -> Beginning:
        """What a start text goes on from."""
        nothing = Beginning(None, beginning(self.model, 1))
        if prime == "none":
            return nothing
        if self._after_primer is None:
            primer = primer_of(self.model.facts, self.model.vocabulary)
            self._after_primer = nothing.then(primer, self.engines.reader)
        return self._after_primer

    def log_probability(self, options: SamplingParams, text: str) -> float:
        """That of new text (in nats) as the model itself has it, after `options.start_text`.

        Temperature and what is left out of the choice do not count. The first character of a
        text that goes on from nothing is not counted either.
        """
        vocabulary, reader = self.model.vocabulary, self.engines.reader
        last, state = self.beginning_of(options)
        ids = vocabulary.encode(text)
        if last is not None:
            ids = np.concatenate([[last], ids])
        total = 0.0
        for first in range(0, len(ids) - 1, _READ_AT_ONCE):
            part = ids[first : first + _READ_AT_ONCE + 1]
            logits, state = reader.read(part[None, :-1], state)
            total += float(log_softmax(logits[0])[np.arange(len(part) - 1), part[1:]].sum())
        return total

    def _write(
        self, options: SamplingParams, samples: range, engine: Engine, begins: Beginning
    ) -> Iterator[Piece]:
        seed = drawn_seed() if options.seed is None else options.seed
        for start in range(0, len(samples), STREAMS_TOGETHER):
            streams = [
                self.stream(options, seed, sample, begins.last)
                for sample in samples[start : start + STREAMS_TOGETHER]
            ]
            yield from _write_batch(streams, engine, begins.state)


def _write_batch(streams: list[Stream], engine: Engine, state: State) -> Iterator[Piece]:
    """Write streams that begin alike until each has ended."""
    if not streams[0].left:  # no character was asked for
        yield from (Piece(stream.sample, "", True) for stream in streams)
        return
    state = rows_of(state, [0] * len(streams))
    steps = _FIRST_CHUNK
    while streams:
        began = time.perf_counter()
        written, state = write_on(engine, streams, state, steps)
        if written.shape[1] == steps:
            steps = _next_steps(steps, time.perf_counter() - began)
        going = []
        for n, (stream, row) in enumerate(zip(streams, written.tolist(), strict=True)):
            text, finish = stream.take(row)
            if text or finish:
                yield Piece(stream.sample, text, finish is not None)
            if finish is None:
                going.append(n)
        if len(going) < len(streams):
            streams = [streams[n] for n in going]
            state = rows_of(state, going)


def require_choosable(params: SamplingParams, vocabulary: Vocabulary) -> None:
    """Raise InputError where every character is banned."""
    banned_ids(params, vocabulary)


def drawn_seed() -> int:
    """A seed that is short enough to be typed again."""
    return int.from_bytes(os.urandom(4), "little")


def in_characters_of(vocabulary: Vocabulary, text: str) -> str:
    """`text` as this vocabulary's text would contain it: byte by byte in one of bytes."""
    if not vocabulary.is_bytes:
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that is no byte: it never occurs
        return text


def _next_steps(steps: int, seconds: float) -> int:
    """The length of the next chunk, after one of `steps` characters took so long."""
    if seconds > 2 * _CHUNK_SECONDS:
        return max(steps // 2, 1)
    return min(steps * 2, _LONGEST_CHUNK) if seconds < _CHUNK_SECONDS / 2 else steps


class Line(NamedTuple):
    """A line, with what start_text begins it, and the number of the sample that it is."""

    text: str
    sample: int


def write_lines(
    sampler: Sampler, options: SamplingParams, known: Container[str] = ()
) -> Iterator[Line]:
    """Write up to `options.num_samples` different lines, each after a newline.

    They are the first samples of the seed that can be used: neither empty nor written before
    nor in `known`, and with an end within `options.length` characters. White space at a line's
    end does not count. It ends early when `GIVES_UP_AFTER` samples in a row cannot be used.

    Raises:
        InputError: at once: `options.until` is given, the model knows no newline, or as
            `Sampler.write`.
        RunError: as `Sampler.write`.
    """
    if NEWLINE not in sampler.model.vocabulary:
        raise InputError("mode=lines: the model knows no newline, so its texts have no lines")
    if options.until is not None:
        raise InputError("until: a line ends where it ends; leave until= or mode=lines out")
    if NEWLINE in options.start_text:
        raise InputError("start_text: begins each line, and has a line break itself; leave it out")
    # one character more, for the newline that ends it
    seed = drawn_seed() if options.seed is None else options.seed
    options = replace(options, until=NEWLINE, length=options.length + 1, seed=seed)
    sampler.write(options, range(0))  # which refuses at once
    return _lines(sampler, options, known)


def _lines(sampler: Sampler, options: SamplingParams, known: Container[str]) -> Iterator[Line]:
    seen: set[str] = set()
    next_sample, useless = 0, 0
    while useless < GIVES_UP_AFTER:
        missing = options.num_samples - len(seen)
        together = min(max(_LEAST_TOGETHER, missing + missing // 4), _MOST_TOGETHER)
        samples = range(next_sample, next_sample + together)
        next_sample = samples.stop
        written = in_order(sampler.write(options, samples), samples.start)
        for sample, pieces in itertools.groupby(written, lambda piece: piece.sample):
            new = "".join(piece.text for piece in pieces)
            line = (options.start_text + new).rstrip()
            useless += 1
            if len(new) < options.length and line and line not in seen and line not in known:
                seen.add(line)
                useless = 0
                yield Line(line, sample)
            if len(seen) == options.num_samples or useless == GIVES_UP_AFTER:
                return
