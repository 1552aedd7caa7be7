"""Text without long runs of the training text: what would copy is taken back and drawn again.

A text is written in chunks. Where a run of it that stands in the training text grows longer than
is allowed, the character that makes it so is drawn again, with the next random numbers of the
sample. As long as the text comes no further, the writer goes back twice as far after every few
tries, to where the model had a choice. The end of the text is held back for that, so that what was
shown stands. The same seed gives the same text; one that copies too much nowhere is the text
without this.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace

from charrnn.errors import RunError
from charrnn.generation.draw import effective_temperature
from charrnn.generation.engines import Engine
from charrnn.generation.sampler import Piece, Sampler, StartState, Stream, drawn_seed, write_next
from charrnn.options.sampling import SamplingParams

_CHUNK = 16  # characters
_TRIES_AS_FAR = 4  # back, before it goes twice as far
_MOST_TRIES = 1000  # without coming any further


def write_novel(
    sampler: Sampler, params: SamplingParams, training: Container[str], longest: int
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
    sampler.write(params, range(0))  # which refuses at once
    seed = drawn_seed() if params.seed is None else params.seed
    begins = sampler.start_state(params)
    engine = sampler.engine(params.engine)

    def samples() -> Iterator[Piece]:
        for sample in range(params.num_samples):
            stream = sampler.stream(replace(params, seed=seed), seed, sample, begins.last)
            writer = _Writer(sampler, engine, stream, training, longest, [(0, begins)])
            yield from writer.pieces()

    return samples()


@dataclass
class _Writer:
    """Writes one sample.

    Attributes:
        savepoints: how many characters stand before a chunk, and what it goes on from; the last one
            is where the text ends.
        ids: of the new text, so far.
        shown: how many characters can no longer be taken back.
    """

    sampler: Sampler
    engine: Engine
    stream: Stream
    training: Container[str]
    longest: int
    savepoints: list[tuple[int, StartState]]
    ids: list[int] = field(default_factory=list)
    shown: int = 0

    def pieces(self) -> Iterator[Piece]:
        """Write to the end."""
        sample, stops = self.stream.sample, self.stream.stops
        furthest = tries = 0
        while self.stream.left:
            is_novel = self._write_chunk()
            place = len(self.ids)
            if place > furthest:
                furthest, tries = place, 0
            tries += not is_novel
            is_greedy = effective_temperature(self.stream.params) == 0
            gives_up = tries == _MOST_TRIES or (tries and is_greedy)
            # a run that grows too long began within the second half of what is held back
            text, stopped = self._show(place if gives_up else place - 2 * self.longest)
            if text or stopped:
                yield Piece(sample, text, stopped)
            if stopped:
                return
            if gives_up:
                raise RunError(
                    f"novel={self.longest}: after {furthest:,} characters the model goes on "
                    f"copying the training text, whatever is drawn; a higher temperature or a "
                    f"larger novel= gives it a choice"
                )
            if not is_novel:
                self._go_back(min(2 ** (tries // _TRIES_AS_FAR) - 1, 2 * self.longest))
        text, stopped = self._show(len(self.ids))
        yield Piece(sample, text if stopped else text + stops.rest(), True)

    def _write_chunk(self) -> bool:
        """Go on by a chunk, up to the first character that copies too much; whether none did."""
        self.stream.last, state = self.savepoints[-1][1]
        written, after = write_next(self.engine, [self.stream], state, _CHUNK)
        new = written[0].tolist()
        before = self.ids[-self.longest :]
        text = self.stream.vocabulary.decode(before + new)
        run = self.longest + 1
        ends = range(max(run, len(before) + 1), len(text) + 1)
        copied = next((end for end in ends if text[end - run : end] in self.training), None)
        if copied is not None:
            self.ids += self.stream.go_on(new[: copied - 1 - len(before)])
            return False
        self.ids += self.stream.go_on(new)
        self.savepoints.append((len(self.ids), StartState(new[-1], after)))
        return True

    def _go_back(self, characters: int) -> None:
        """Take back so many characters, but none that are shown."""
        keep = max(len(self.ids) - characters, self.shown)
        while self.savepoints[-1][0] > keep:
            self.savepoints.pop()
        at, begins = self.savepoints[-1]
        if at < keep:
            self.savepoints.append((keep, self.sampler.read_on(begins, self.ids[at:keep])))
        self.stream.take_back(len(self.ids) - keep)
        del self.ids[keep:]

    def _show(self, end: int) -> tuple[str, bool]:
        """What can be shown of the text up to `end`, and whether it stops there."""
        end = max(end, self.shown)
        text = self.stream.vocabulary.decode(self.ids[self.shown : end])
        self.shown = end
        while len(self.savepoints) > 1 and self.savepoints[1][0] <= end:
            del self.savepoints[0]
        return self.stream.stops.take(text)
