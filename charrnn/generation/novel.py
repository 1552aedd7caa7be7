"""Text without long runs of the training text: what would copy is taken back and drawn again.

A text is written in chunks. Where a run of it that stands in the training text grows longer
than is allowed, the character that makes it so is drawn again, with the next random numbers of
the sample. When it copies at the same place again and again, the writer goes back further, twice
as far after every few tries, to where the model had a choice. The end of the text is held back
for that, so that what was shown stands. The same seed gives the same text; one that copies too
much nowhere is the text without this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace

from charrnn.errors import RunError
from charrnn.generation.engines import Engine
from charrnn.generation.sampler import Beginning, Piece, Sampler, drawn_seed
from charrnn.generation.stream import Stream, write_on
from charrnn.generation.token_sampler import temperature_of
from charrnn.options.sampling import SamplingParams

# Characters that are written at once, after a copy and at most: not by the clock, so that the
# random numbers fall alike
_SHORT_CHUNK, _CHUNK = 8, 64
_TRIES_AS_FAR = 4  # back, before it goes twice as far
_TRIES = 1000  # without coming any further


def write_novel(
    sampler: Sampler, options: SamplingParams, training: Container[str], longest: int
) -> Iterator[Piece]:
    """Write as `Sampler.write`, but no run of more than `longest` characters of a training text.

    The samples are written one after the other. Runs that begin in start_text count from its
    end on.

    Args:
        training: whether a passage stands in the training text.

    Raises:
        InputError: at once, as `Sampler.write`.
        RunError: while writing: as `Sampler.write`, or the model goes on copying, whatever is
            drawn.
    """
    sampler.write(options, range(0))  # which refuses at once
    if options.seed is None:
        options = replace(options, seed=drawn_seed())
    return _write(sampler, options, training, longest)


def _write(
    sampler: Sampler, options: SamplingParams, training: Container[str], longest: int
) -> Iterator[Piece]:
    begins = sampler.beginning_of(options)
    engine = sampler.engine_for(options, streams=1)
    for sample in range(options.num_samples):
        assert options.seed is not None
        stream = sampler.stream(options, options.seed, sample, begins.last)
        yield from _Writer(sampler, engine, stream, training, longest).pieces(begins)


@dataclass
class _Writer:
    """One sample while it is written.

    Attributes:
        ids: of the new text, so far.
        marks: how many characters stand before a chunk, and what it goes on from; the last one
            is where the text ends.
        shown: how many characters can no longer be taken back.
        steps: characters to write at once.
    """

    sampler: Sampler
    engine: Engine
    stream: Stream
    training: Container[str]
    longest: int
    ids: list[int] = field(default_factory=list)
    marks: list[tuple[int, Beginning]] = field(default_factory=list)
    shown: int = 0
    steps: int = _CHUNK

    def pieces(self, begins: Beginning) -> Iterator[Piece]:
        """Write from there on, to the end."""
        self.marks = [(0, begins)]
        furthest = tries = 0
        copied_at: Counter[int] = Counter()
        while self.stream.left:
            if self._write_chunk():
                # a run that grows too long began within the second half of what is held back
                text, stopped = self._show(len(self.ids) - 2 * self.longest)
                if text or stopped:
                    yield Piece(self.stream.sample, text, stopped)
                if stopped:
                    return
                continue
            place = len(self.ids)
            if place > furthest:
                furthest, tries = place, 0
                copied_at.clear()
            tries += 1
            copied_at[place] += 1
            if tries == _TRIES or temperature_of(self.stream.now()[0]) == 0:
                text, stopped = self._show(place)
                yield Piece(self.stream.sample, text, stopped)
                if stopped:  # before what cannot be written
                    return
                raise RunError(
                    f"novel={self.longest}: after {furthest:,} characters the model goes on "
                    f"copying the training text, whatever is drawn; a higher temperature or a "
                    f"larger novel= gives it a choice"
                )
            self._go_back(min(2 ** (copied_at[place] // _TRIES_AS_FAR) - 1, 2 * self.longest))
        text, stopped = self._show(len(self.ids))
        yield Piece(self.stream.sample, text if stopped else text + self.stream.stops.rest(), True)

    def _write_chunk(self) -> bool:
        """Go on by a chunk, up to the first character that copies too much; whether none did."""
        last, state = self.marks[-1][1]
        self.stream.last = last
        written, after = write_on(self.engine, [self.stream], state, self.steps)
        new = written[0].tolist()
        kept = self._novel(new)
        self.ids += self.stream.go_on(new[:kept])
        self.steps = min(2 * self.steps, _CHUNK) if kept == len(new) else _SHORT_CHUNK
        if kept < len(new):
            return False
        self.marks.append((len(self.ids), Beginning(new[-1], after)))
        return True

    def _novel(self, new: list[int]) -> int:
        """How many of these characters can stand before the first that copies too much."""
        before = self.ids[-self.longest :]
        text = self.stream.vocabulary.decode(before + new)
        run = self.longest + 1
        for end in range(max(run, len(before) + 1), len(text) + 1):
            if text[end - run : end] in self.training:
                return end - 1 - len(before)
        return len(new)

    def _go_back(self, characters: int) -> None:
        """Take back so many characters, but none that are shown."""
        keep = max(len(self.ids) - characters, self.shown)
        while self.marks[-1][0] > keep:
            self.marks.pop()
        at, begins = self.marks[-1]
        if at < keep:
            reader = self.sampler.engines.reader
            self.marks.append((keep, begins.then(self.ids[at:keep], reader)))
        self.stream.take_back(len(self.ids) - keep)
        del self.ids[keep:]

    def _show(self, end: int) -> tuple[str, bool]:
        """What can be shown of the text up to `end`, and whether it stops there."""
        if end <= self.shown:
            return "", False
        new = self.stream.vocabulary.decode(self.ids[self.shown : end])
        text, stopped = self.stream.stops.take(new)
        self.shown = end
        while len(self.marks) > 1 and self.marks[1][0] <= end:
            del self.marks[0]
        return text, stopped
