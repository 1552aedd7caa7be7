"""One text while it is written, and the step that writes many of them on together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charrnn.generation.engines import Engine
from charrnn.generation.numpy_engine import State
from charrnn.generation.token_sampler import Ids, banned_ids
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary


class Stops:
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
        self.stops = Stops(stops)

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


def write_on(
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
    lefts = np.array([stream.left for stream in streams])
    T = min(steps, int(lefts.max()))
    uniforms = np.stack([stream.uniforms.random(T) for stream in streams])
    last = np.array([stream.last for stream in streams])
    params = [stream.params for stream in streams]
    texts = [np.array(stream.text, np.int64) for stream in streams]
    return engine.write(last, state, uniforms, params, np.minimum(lefts, T), texts)


def first_id(stream: Stream) -> int:
    """A character that comes after nothing: any that is not banned, evenly."""
    banned = banned_ids(stream.params, stream.vocabulary)
    allowed = np.delete(np.arange(len(stream.vocabulary)), banned)
    return int(allowed[int(stream.uniforms.random() * len(allowed))])


def uniforms_of(seed: int, sample: int) -> np.random.Generator:
    """The random numbers of a sample, one for each of its characters."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(sample,))))
