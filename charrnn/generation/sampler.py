"""Writing text: from a start text, a seed and a choice to pieces of new text as they come.

Sample number i of a call has random numbers of its own, drawn from the call's seed and i:
what it says depends neither on how many are written beside it, nor on the engine, nor on
the pieces it comes in. A chunk of characters is one call of an engine; the first chunks are
short, so that the text begins at once, and the later ones as long as a twentieth of a second.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from charrnn.errors import InputError
from charrnn.generation.draw import Ids, find_banned_ids, log_softmax
from charrnn.generation.engines import Engine, make_engine, select_streams
from charrnn.models.trained import State, Trained, zero_state
from charrnn.options.sampling import SamplingParams
from charrnn.text.prompt import encode_primer, fit_text
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


class StartState(NamedTuple):
    """What one stream goes on from.

    Attributes:
        last: the id of the last character, not yet taken in; None: there is none.
        state: that before it.
    """

    last: int | None
    state: State


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
        self.model, self.precision = model, precision
        self.reader = make_engine(model, precision=precision)
        self._engines: dict[str, Engine] = {"auto": self.reader}
        self._after_primer: StartState | None = None
        self._lock = threading.Lock()

    def engine(self, name: str) -> Engine:
        """Return the engine of a name: auto, numpy or torch.

        Raises:
            InputError: the engine cannot step the model.
        """
        with self._lock:
            if name not in self._engines:
                self._engines[name] = make_engine(self.model, name, self.precision)
            return self._engines[name]

    def write(self, options: SamplingParams, samples: range | None = None) -> Iterator[Piece]:
        """Write `options.num_samples` texts of `options.length` new characters.

        The samples of a batch take turns, a piece each; every sample has one last piece.
        start_text is not repeated, and `until` neither written nor passed.

        Args:
            samples: the numbers of those to write, instead of the first `options.num_samples`.

        Raises:
            InputError: at once, not when the first piece is asked for: a character of
                start_text is unknown, every character is banned, or the engine asked for has no
                kernel for the model's cell.
            RunError: while writing: the model's scores are not numbers.
        """
        if options.precision != self.precision:
            raise ValueError(f"precision={options.precision}: this sampler has another")
        samples = range(options.num_samples) if samples is None else samples
        find_banned_ids(options, self.model.vocabulary)
        engine = self.engine(options.engine)
        return self._write(options, samples, engine, self.start_state(options))

    def _write(
        self, options: SamplingParams, samples: range, engine: Engine, begins: StartState
    ) -> Iterator[Piece]:
        seed = drawn_seed() if options.seed is None else options.seed
        for start in range(0, len(samples), STREAMS_TOGETHER):
            streams = [
                self.stream(options, seed, sample, begins.last)
                for sample in samples[start : start + STREAMS_TOGETHER]
            ]
            yield from _write_batch(streams, engine, begins.state)

    def stream(self, options: SamplingParams, seed: int, sample: int, last: int | None) -> Stream:
        """One of the texts that are asked for, before it is written."""
        vocabulary = self.model.vocabulary
        return Stream(
            options,
            vocabulary,
            seed=seed,
            sample=sample,
            last=last,
            start=self._encoded(self._start_text(options)),
            stops=() if options.until is None else (in_characters_of(vocabulary, options.until),),
        )

    def start_state(self, options: SamplingParams) -> StartState:
        """What the texts that are asked for go on from.

        Raises:
            InputError: a character of start_text is unknown.
        """
        ids, state = self.prompt(self._start_text(options), options.prime)
        return self.read_on(StartState(None, state), ids.tolist())

    def prompt(self, start_text: str = "", prime: str = "text") -> tuple[Ids, State]:
        """The ids (T,) that are read before a text is written, and the state before them.

        They are the last character of the primer, if there is one, and the start text. Where there
        is neither, that is a newline; in a vocabulary without one, nothing.

        Args:
            prime: as `SamplingParams.prime`.

        Raises:
            InputError: a character of start_text is unknown.
        """
        ids = self._encoded(start_text)
        last, state = None, zero_state(self.model, 1)
        if prime == "text":
            if self._after_primer is None:
                primer = encode_primer(self.model.facts, self.model.vocabulary)
                self._after_primer = self.read_on(StartState(None, state), primer)
            last, state = self._after_primer
        if last is not None:
            ids = np.append(last, ids)
        elif not len(ids) and NEWLINE in self.model.vocabulary:
            ids = self.model.vocabulary.encode(NEWLINE)
        return ids, state

    def read_on(self, begins: StartState, ids: Sequence[int]) -> StartState:
        """What a text goes on from after these characters more."""
        if not ids:
            return begins
        taken_in = [*ids[:-1]] if begins.last is None else [begins.last, *ids[:-1]]
        state = self.reader.advance(np.array([taken_in], np.int64), begins.state)
        return StartState(ids[-1], state)

    def _start_text(self, options: SamplingParams) -> str:
        """As far as the model reads it."""
        return fit_text(options.start_text, self.model.vocabulary, options.unknown).text

    def _encoded(self, start_text: str) -> Ids:
        try:
            return self.model.vocabulary.encode(start_text)
        except InputError as error:
            raise InputError(f"start_text: {error}") from None

    def log_probability(self, options: SamplingParams, text: str) -> float:
        """That of new text (in nats) as the model itself has it, after `options.start_text`.

        Temperature and what is left out of the choice do not count. The first character of a
        text that goes on from nothing is not counted either.
        """
        last, state = self.start_state(options)
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
    """Write streams that begin alike until each has ended."""
    if not streams[0].left:  # no character was asked for
        yield from (Piece(stream.sample, "", True) for stream in streams)
        return
    state = select_streams(state, [0] * len(streams))
    steps = _FIRST_CHUNK
    while streams:
        began = time.perf_counter()
        written, state = write_next(engine, streams, state, steps)
        if written.shape[1] == steps:
            steps = next_steps(steps, time.perf_counter() - began)
        going = []
        for n, (stream, row) in enumerate(zip(streams, written.tolist(), strict=True)):
            text, finish = stream.take(row)
            if text or finish:
                yield Piece(stream.sample, text, finish is not None)
            if finish is None:
                going.append(n)
        if len(going) < len(streams):
            streams = [streams[n] for n in going]
            state = select_streams(state, going)


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


def next_steps(steps: int, seconds: float) -> int:
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
    next_sample, num_rejected = 0, 0
    while num_rejected < GIVES_UP_AFTER:
        missing = options.num_samples - len(seen)
        together = min(max(_LEAST_TOGETHER, missing + missing // 4), _MOST_TOGETHER)
        samples = range(next_sample, next_sample + together)
        next_sample = samples.stop
        written = in_order(sampler.write(options, samples), samples.start)
        for sample, pieces in itertools.groupby(written, lambda piece: piece.sample):
            new = "".join(piece.text for piece in pieces)
            line = (options.start_text + new).rstrip()
            num_rejected += 1
            if len(new) < options.length and line and line not in seen and line not in known:
                seen.add(line)
                num_rejected = 0
                yield Line(line, sample)
            if len(seen) == options.num_samples or num_rejected == GIVES_UP_AFTER:
                return


class StopStrings:
    """Watches one text for the first of `texts` that is complete in it.

    What may be the beginning of one of them is held back until that is known, so that the
    pieces in which the text comes make no difference.

    Args:
        texts: each of one character or more; none: the text goes on to its end.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._held = ""

    def take(self, text: str) -> tuple[str, bool]:
        """What can be shown after this much more text, and whether it has stopped."""
        text = self._held + text
        found = [(at + len(t), at) for t in self._texts if (at := text.find(t)) >= 0]
        if found:
            _, start = min(found)
            return text[:start], True
        shown = len(text) - max((_overlap(text, t) for t in self._texts), default=0)
        self._held = text[shown:]
        return text[:shown], False

    def rest(self) -> str:
        """What was held back, when nothing follows any more."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


class Stream:
    """One text while it is written.

    Args:
        seed, sample: its random numbers are those of this sample of the seed.
        last: id of the character that it goes on from, not yet taken in; None: there is none.
        start: ids of what the penalties see before the new text.
        stops: texts, in the vocabulary's characters, before which it ends.

    Attributes:
        last: as above, always of the newest character.
        written: how many characters are new.
        text: ids that the penalties go by; [] where there is no penalty.
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
        self.uniforms = uniforms_of(seed, sample)
        self.last, self.written = last, 0
        self._penalized = params.dry_multiplier > 0
        self.text = list(start) if self._penalized else []
        self.stops = StopStrings(stops)

    @property
    def left(self) -> int:
        """How many characters are to be written yet."""
        return self.params.length - self.written

    def go_on(self, ids: list[int]) -> list[int]:
        """Append what was just written; what is past its end is left out.

        Returns:
            What was not.
        """
        ids = ids[: self.left]
        if ids:
            self.last = ids[-1]
            self.written += len(ids)
            if self._penalized:
                self.text += ids
        return ids

    def take_back(self, characters: int) -> None:
        """Forget so many; whoever does sets `last` to what stands there now."""
        self.written -= characters
        if self._penalized and characters:
            del self.text[-characters:]

    def take(self, ids: list[int]) -> tuple[str, str | None]:
        """Append what was just written.

        Returns:
            What of it can be shown now, and "stop" or "length" where the text has ended.
        """
        text, stopped = self.stops.take(self.vocabulary.decode(self.go_on(ids)))
        if stopped:
            return text, "stop"
        if self.left:
            return text, None
        return text + self.stops.rest(), "length"


def write_next(
    engine: Engine, streams: Sequence[Stream], state: State, steps: int
) -> tuple[Ids, State]:
    """What comes next in streams that each have something left.

    Args:
        state: that before the last character of each; all have one, or none.
        steps: characters, at most; one where nothing stands before it.

    Returns:
        ids (N, T), of which each stream needs no more than are left to it, and the state
        before the last of them.
    """
    if streams[0].last is None:
        return np.array([[first_id(stream)] for stream in streams]), state
    num_left = np.array([stream.left for stream in streams])
    T = min(steps, int(num_left.max()))
    uniforms = np.stack([stream.uniforms.random(T) for stream in streams])
    last = np.array([stream.last for stream in streams])
    params = [stream.params for stream in streams]
    texts = [np.array(stream.text, np.int64) for stream in streams]
    return engine.write(last, state, uniforms, params, np.minimum(num_left, T), texts)


def first_id(stream: Stream) -> int:
    """A character that comes after nothing: any that is not banned, evenly."""
    banned = find_banned_ids(stream.params, stream.vocabulary)
    allowed = np.delete(np.arange(len(stream.vocabulary)), banned)
    return int(allowed[int(stream.uniforms.random() * len(allowed))])


def uniforms_of(seed: int, sample: int) -> np.random.Generator:
    """The random numbers of a sample, one for each of its characters."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(sample,))))
