"""Writing text: from a start text, a seed and a choice to pieces of new text as they come.

Sample number i of a call has random numbers of its own, drawn from the call's seed and i:
what it says depends neither on how many are written beside it, nor on the engine, nor on
the pieces it comes in. A chunk of characters is one call of an engine; the first chunks are
short, so that the text begins at once, and the later ones as long as a twentieth of a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from charrnn.errors import InputError
from charrnn.generation.choosing import Choice
from charrnn.generation.engines import Engine, Engines
from charrnn.generation.options import GenerateOptions
from charrnn.generation.state import State, beginning, rows_of
from charrnn.models.ensemble import Trained
from charrnn.text.vocabulary import Vocabulary

PRIMER = "\n"
STREAMS_TOGETHER = 512  # more in one batch write no faster, and take memory
_FIRST_CHUNK = 16  # characters
_LONGEST_CHUNK = 8192
_CHUNK_SECONDS = 0.05


class Piece(NamedTuple):
    """A part of a sample's new text; `last` when nothing follows."""

    sample: int
    text: str
    last: bool


def in_order(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces of a batch, one sample after another, each as soon as its turn has come."""
    turn = 0
    waiting: dict[int, list[Piece]] = {}
    for new in pieces:
        waiting.setdefault(new.sample, []).append(new)
        while turn in waiting:
            for piece in waiting.pop(turn):
                yield piece
                turn += piece.last


class Sampler:
    """Writes with one model, or with an ensemble. Safe to share between threads."""

    def __init__(self, model: Trained) -> None:
        self.model = model
        self.engines = Engines(model)

    def write(self, options: GenerateOptions) -> Iterator[Piece]:
        """Write `options.num_samples` texts of `options.length` new characters.

        The samples of a batch take turns, a piece each; every sample has one last piece.
        start_text is not repeated, and `until` neither written nor passed.

        Raises:
            InputError: at once, not when the first piece is asked for: a character of
                start_text is unknown, every character is banned, or the engine asked for is not
                installed or has no kernel for the model's cell.
            RunError: while writing: the model's scores are not numbers.
        """
        choice = choice_for(options, self.model.vocabulary)
        if options.engine == "auto":
            streams = min(options.num_samples, STREAMS_TOGETHER)
            engine = self.engines.fastest(streams, options.length)
        else:
            engine = self.engines.named(options.engine)
        last, state = self._primed(options.start_text)
        return self._write(options, choice, engine, last, state)

    def _primed(self, start_text: str) -> tuple[int | None, State]:
        """The last character to go on from, if there is one, and the state before it."""
        vocabulary = self.model.vocabulary
        state = beginning(self.model, 1)
        if not start_text:
            return (int(vocabulary.encode(PRIMER)[0]) if PRIMER in vocabulary else None), state
        try:
            ids = vocabulary.encode(start_text)
        except InputError as error:
            raise InputError(f"start_text: {error}") from None
        return int(ids[-1]), self.engines.reader.advance(ids[None, :-1], state)

    def _write(
        self,
        options: GenerateOptions,
        choice: Choice,
        engine: Engine,
        last: int | None,
        state: State,
    ) -> Iterator[Piece]:
        vocabulary = self.model.vocabulary
        seed = drawn_seed() if options.seed is None else options.seed
        until = None if options.until is None else in_characters_of(vocabulary, options.until)
        for start in range(0, options.num_samples, STREAMS_TOGETHER):
            samples = range(start, min(start + STREAMS_TOGETHER, options.num_samples))
            streams = [_Stream(i, _uniforms(seed, i), until, options.length) for i in samples]
            yield from self._write_batch(streams, choice, engine, last, state)

    def _write_batch(
        self,
        streams: list[_Stream],
        choice: Choice,
        engine: Engine,
        last: int | None,
        state: State,
    ) -> Iterator[Piece]:
        """Write streams that begin alike until each has ended."""
        state = rows_of(state, [0] * len(streams))
        ids = np.full(len(streams), last or 0)
        steps = _FIRST_CHUNK
        while streams:
            T = min(steps, streams[0].left)
            if T == 0:  # no character was asked for
                written = np.empty((len(streams), 0), np.int64)
            elif last is None:  # nothing to go on from: any character may be the first
                first = np.array([stream.uniforms.random(1) for stream in streams])
                allowed = np.delete(np.arange(len(self.model.vocabulary)), choice.banned)
                written = allowed[(first * len(allowed)).astype(np.int64)]
                last = 0
            else:
                uniforms = np.array([stream.uniforms.random(T) for stream in streams])
                began = time.perf_counter()
                written, state = engine.write(ids, state, uniforms, choice)
                steps = _next_steps(steps, time.perf_counter() - began)
            going = []
            for n, (stream, row) in enumerate(zip(streams, written.tolist(), strict=True)):
                text, ended = stream.take(self.model.vocabulary.decode(row))
                if text or ended:
                    yield Piece(stream.sample, text, ended)
                if not ended:
                    going.append(n)
            if len(going) < len(streams):
                streams = [streams[n] for n in going]
                state = rows_of(state, going)
                written = written[going]
            ids = written[:, -1:].ravel()


@dataclass
class _Stream:
    """One sample while it is written."""

    sample: int
    uniforms: np.random.Generator
    until: str | None
    left: int  # characters
    _held: str = field(default="", init=False)  # what may be the beginning of `until`

    def take(self, text: str) -> tuple[str, bool]:
        """What can be shown after this much more text, and whether the sample has ended."""
        self.left -= len(text)
        text = self._held + text
        if self.until is not None:
            found = text.find(self.until)
            if found >= 0:
                return text[:found], True
        if self.left == 0:
            return text, True
        held = 0 if self.until is None else _overlap(text, self.until)
        shown = len(text) - held
        self._held = text[shown:]
        return text[:shown], False


def _overlap(text: str, until: str) -> int:
    """Length of the longest end of `text` that is a beginning of `until`."""
    longest = min(len(text), len(until) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(until[:n])), 0)


def _uniforms(seed: int, sample: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(sample,))))


def choice_for(options: GenerateOptions, vocabulary: Vocabulary) -> Choice:
    """How a character of this vocabulary is chosen.

    Raises:
        InputError: every character is banned.
    """
    known = set(vocabulary.look_up(options.ban or "").tolist()) - {-1}
    if len(known) == len(vocabulary):
        raise InputError("ban: every character that the model knows is banned; leave some")
    return Choice(
        temperature=options.temperature if options.sample else 0,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        banned=tuple(sorted(known)),
    )


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
