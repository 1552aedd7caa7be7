"""Texts that are being written, and a chunk of characters of several of them.

The random numbers of a sample depend only on the seed and the sample's number. So its text depends
neither on the other samples of the batch, nor on the engine, nor on the size of the chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np

from charrnn.generation.draw import RUN_LENGTH, Drawer, Ids, Tail, find_banned_ids
from charrnn.generation.dry import LOOK_BACK, DryPenalties
from charrnn.generation.engines import Engine
from charrnn.generation.quotes import Quotes
from charrnn.models.trained import State
from charrnn.text.vocabulary import Vocabulary


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
        drawer: draws the characters.
        seed, sample: select the random numbers.
        last: the id of the last character before the new text; None if there is none.
        start: the ids before the new text that count for penalties and runs of blanks.
        stops: texts, in the vocabulary's characters, before which the new text ends.
        pairs: the marks of quotes that close.

    Attributes:
        last: the id of the newest character, which the model has not read.
        num_written: the number of new characters.
        text: the ids of start and new text; only the last few unless `keeps_text`.
        keeps_text: whether `text` is complete, as `remove` needs it.
        dry: the penalties after the text; None without penalties.
        debts: (E,), of the characters of `find_ends`, after the text; None if all are 0.
        quotes: the open quotes of the text.
    """

    def __init__(
        self,
        drawer: Drawer,
        vocabulary: Vocabulary,
        *,
        seed: int,
        sample: int,
        last: int | None,
        start: Sequence[int] | Ids = (),
        stops: Sequence[str] = (),
        pairs: Sequence[str] = (),
    ) -> None:
        self.drawer, self.params = drawer, drawer.params
        self.vocabulary, self.sample = vocabulary, sample
        self.uniforms = make_rng(seed, sample)
        self.last, self.num_written = last, 0
        self.text, self.keeps_text = np.array(start[-LOOK_BACK:]).tolist(), False
        self.dry: DryPenalties | None = None
        if self.params.dry_multiplier > 0:
            self.dry = DryPenalties(self.params, self.text)
        self.debts: list[float] | None = None
        self.pairs, self.quotes = pairs, Quotes(vocabulary, pairs, self.text)
        self.stops = StopStrings(stops)

    @property
    def num_left(self) -> int:
        """The number of characters that are not yet written."""
        return self.params.length - self.num_written

    def make_tail(self) -> Tail:
        """Return the end of the text. A draw does not change the stream."""
        kept = copy(self.dry), self.debts, copy(self.quotes)
        return self.drawer.resume(self.text, *kept, is_started=self.num_written > 0)

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
            for id_ in ids:
                self.quotes.append(id_)
        return ids

    def remove(self, characters: int) -> None:
        """Remove the last characters. The caller sets `last` to the new last character.

        The debts are forgotten.
        """
        self.num_written -= characters
        self.debts = None
        if characters:
            del self.text[-characters:]
            self.quotes = Quotes(self.vocabulary, self.pairs, self.text)
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
    """Return the next characters of unfinished streams with the same drawer.

    Args:
        state: before the last character of each stream. Either all streams have one, or none.
        steps: the most characters. Without a last character, only one is drawn.

    Returns:
        The ids (N, T), of which a stream needs at most `num_left`, and the state before the last.
    """
    if streams[0].last is None:
        return np.array([[_draw_first_id(stream)] for stream in streams]), state
    T = min(steps, max(stream.num_left for stream in streams))
    uniforms = np.stack([stream.uniforms.random(T) for stream in streams])
    last = np.array([stream.last for stream in streams])
    tails = [stream.make_tail() for stream in streams]
    written = engine.write(last, state, uniforms, streams[0].drawer, tails)
    for stream, tail in zip(streams, tails, strict=True):
        stream.debts = None if tail.debts is None else tail.debts.values
    return written


def _draw_first_id(stream: Stream) -> int:
    """Draw the first character of a text: all that are not banned are equally likely."""
    banned = find_banned_ids(stream.params, stream.vocabulary)
    allowed = np.delete(np.arange(len(stream.vocabulary)), banned)
    return int(allowed[int(stream.uniforms.random() * len(allowed))])


def make_rng(seed: int, sample: int) -> np.random.Generator:
    """Return the random numbers of a sample. Each character takes one."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(sample,))))
