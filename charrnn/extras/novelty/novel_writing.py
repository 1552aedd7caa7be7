"""Sample text without long copies from the training text, by backtracking.

The writer samples in chunks. If a copied passage becomes longer than allowed, the writer removes
the character that made it too long, and draws it again with the next random numbers of the sample.
If that does not help, it removes twice as many after every few tries, until it reaches a position
where the model had a choice. The same seed gives the same text. A text without long copies is the
same as without this feature.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from charrnn.errors import RunError
from charrnn.generation.engines import Engine
from charrnn.generation.sampler import Piece, Sampler, StartState, draw_seed
from charrnn.generation.streams import Stream, write_chunk
from charrnn.options.sampling import SamplingParams

_CHUNK = 16  # characters
_TRIES_PER_DISTANCE = 4  # tries before the writer removes twice as many characters
_MAX_TRIES = 1000  # tries without progress before the writer gives up


def write_novel(
    sampler: Sampler, params: SamplingParams, training: Container[str], max_copy: int
) -> Iterator[Piece]:
    """Write like `Sampler.write`, but copy at most `max_copy` characters in a row.

    Each sample is one piece. In a passage that starts in start_text, only the characters after
    start_text count.

    Args:
        training: tells whether the training text contains a passage.

    Raises:
        RunError: during writing, if every try copies too much.
    """
    seed = draw_seed() if params.seed is None else params.seed
    prompt = sampler.encode_start_text(params)
    start_state = sampler.read_prompt(prompt)
    engine, drawer = sampler.engine(params.device), sampler.make_drawer(params)

    def write_samples() -> Iterator[Piece]:
        for sample in range(params.num_samples):
            stream = Stream(drawer, seed, sample, start_state.last, prompt)
            writer = _Writer(sampler, engine, stream, training, max_copy, [(0, start_state)])
            yield Piece(sample, writer.write(), True)

    return write_samples()


@dataclass
class _Writer:
    """The writer of one sample."""

    sampler: Sampler
    engine: Engine
    stream: Stream
    training: Container[str]
    max_copy: int
    # (number of characters, state after them) before each chunk; the last entry is the end of the
    # text
    savepoints: list[tuple[int, StartState]]
    ids: list[int] = field(default_factory=list)  # of the new text so far

    def write(self) -> str:
        """Return the sample's new text."""
        vocabulary, until = self.stream.vocabulary, self.stream.params.until
        stop = vocabulary.as_tokens(until or "")
        furthest = tries = 0
        while self.stream.num_left:
            is_novel = self._write_chunk()
            if stop and stop in vocabulary.decode(self.ids[-len(stop) - _CHUNK :]):
                break
            if is_novel:
                continue
            if len(self.ids) > furthest:
                furthest, tries = len(self.ids), 0
            tries += 1
            if tries == _MAX_TRIES or self.stream.drawer.temperature == 0:
                raise RunError(
                    f"novel={self.max_copy}: after {furthest:,} characters, every try copied more "
                    f"of the training text; use a higher temperature or a larger novel="
                )
            self._backtrack(min(2 ** (tries // _TRIES_PER_DISTANCE) - 1, 2 * self.max_copy))
        text = vocabulary.decode(self.ids)
        return text.partition(stop)[0] if stop else text

    def _write_chunk(self) -> bool:
        """Write a chunk, but stop before the first character that makes a copy too long.

        Return True if there is none.
        """
        self.stream.last, state = self.savepoints[-1][1]
        written, after = write_chunk(self.engine, [self.stream], state, _CHUNK)
        new = written[0].tolist()
        previous = self.ids[-self.max_copy :]
        text = self.stream.vocabulary.decode(previous + new)
        size = self.max_copy + 1
        ends = range(max(size, len(previous) + 1), len(text) + 1)
        first_bad_end = next((end for end in ends if text[end - size : end] in self.training), None)
        if first_bad_end is not None:
            self.ids += self.stream.append(new[: first_bad_end - 1 - len(previous)])
            return False
        self.ids += self.stream.append(new)
        self.savepoints.append((len(self.ids), StartState(new[-1], after)))
        return True

    def _backtrack(self, characters: int) -> None:
        """Remove the last `characters`."""
        keep = max(len(self.ids) - characters, 0)
        while self.savepoints[-1][0] > keep:
            self.savepoints.pop()
        length, start_state = self.savepoints[-1]
        if length < keep:
            self.savepoints.append(
                (keep, self.sampler.continue_from(start_state, self.ids[length:keep]))
            )
        del self.ids[keep:]
        self.stream.rewind(self.ids)
