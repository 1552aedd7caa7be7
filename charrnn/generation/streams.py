"""Texts that are being written, and a chunk of characters of several of them.

The random numbers of a sample depend only on the seed and the sample's number. So its text depends
neither on the other samples of the batch, nor on the engine, nor on the size of the chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charrnn.generation.draw import Drawer, Ids
from charrnn.generation.dry import LOOK_BACK
from charrnn.generation.engines import Engine
from charrnn.models.trained import State


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
        start: the ids before the new text on which the draw depends.
        stops: more texts like `params.until`, before which the new text ends.

    Attributes:
        last: the id of the newest character, which the model has not read.
        num_written: the number of new characters.
        tail: the end of the text, to which each draw appends.
    """

    def __init__(
        self,
        drawer: Drawer,
        seed: int,
        sample: int,
        last: int | None,
        start: Sequence[int] | Ids = (),
        stops: Sequence[str] = (),
    ) -> None:
        self.drawer, self.params, self.vocabulary = drawer, drawer.params, drawer.vocabulary
        self.sample, self.uniforms = sample, make_rng(seed, sample)
        self.last, self.num_written = last, 0
        self.start: list[int] = np.array(start[-LOOK_BACK:], np.int64).tolist()
        self.tail = drawer.resume(self.start)
        stops = [*stops] if self.params.until is None else [self.params.until, *stops]
        self.stops = StopStrings([*map(self.vocabulary.as_tokens, stops)])

    @property
    def num_left(self) -> int:
        """The number of characters that are not yet written."""
        return self.params.length - self.num_written

    def draw_first(self) -> int:
        """Draw the first character of a text: all that are not banned are equally likely."""
        allowed = np.delete(np.arange(len(self.vocabulary)), self.drawer.banned)
        id_ = int(allowed[int(self.uniforms.random() * len(allowed))])
        self.tail = self.drawer.resume([id_], is_started=True)
        return id_

    def append(self, ids: list[int]) -> list[int]:
        """Return the drawn ids that the text still takes, and count them. `tail` has all."""
        ids = ids[: self.num_left]
        if ids:
            self.last = ids[-1]
            self.num_written += len(ids)
        return ids

    def rewind(self, ids: list[int]) -> None:
        """Replace the new text with ids, after which the debts are 0. The caller sets `last`."""
        self.num_written = len(ids)
        self.tail = self.drawer.resume(self.start + ids, is_started=len(ids) > 0)

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
        return np.array([[stream.draw_first()] for stream in streams]), state
    T = min(steps, max(stream.num_left for stream in streams))
    uniforms = np.stack([stream.uniforms.random(T) for stream in streams])
    last = np.array([stream.last for stream in streams])
    tails = [stream.tail for stream in streams]
    return engine.write(last, state, uniforms, streams[0].drawer, tails)


def make_rng(seed: int, sample: int) -> np.random.Generator:
    """Return the generator of a sample's random numbers. Each character takes one."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(sample,))))
