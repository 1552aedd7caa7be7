"""A split -> parallel streams -> windows; NumPy only.

    split (n,)  ->  N rows of L = (n - 1) // N  ->  window k: columns kT .. (k+1)T

Row r of the streams is ``ids[r * L : (r + 1) * L]`` and its targets are the same one
character on, so each window continues the one before it, and the state of the network
can be carried from one to the next (torch-rnn's DataLoader.lua cuts the text so too).
`Streams.shuffled` begins at another place of the text, and changes the order of the rows.

A window costs a copy of N * (T + 1) ids, whatever the size of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from charrnn.data import EncodedText, FileIds, Ids, do_nothing, from_file_ids

ROWS_MAPPED = 8


@dataclass(frozen=True)
class Streams:
    """A split as N parallel streams, and the windows that they are trained in.

    The split is a ring: a stream that reaches its end goes on at its beginning.

    Attributes:
        ids: (n,) as files hold them; nothing is copied before a window is asked for.
        starts: (N,) where in them each stream begins.
        length: L, the characters that a stream is trained on; its last target is one further.
        seq_length: T, the columns of a window.
        release: lets go of what was read of the file.
    """

    ids: FileIds
    starts: Ids
    length: int
    seq_length: int
    vocabulary_size: int
    path: Path
    release: Callable[[], None] = do_nothing

    @property
    def batch_size(self) -> int:
        return len(self.starts)

    @property
    def windows(self) -> int:
        """Whole windows in an epoch; a last partial one is not trained on."""
        return self.length // self.seq_length

    def columns(self, start: int, stop: int) -> FileIds:
        """A copy (N, stop - start) of what stands there in every stream, as files hold it.

        The system maps up to 2 MB around a character that is read, once for each row: with
        hundreds of rows a mapped file would fill a gigabyte. Few rows are mapped at a time.
        """
        block = np.empty((self.batch_size, stop - start), self.ids.dtype)
        for row, begin in enumerate(self.starts):
            at = (begin + start) % len(self.ids)
            before_end = self.ids[at : at + stop - start]
            block[row, : len(before_end)] = before_end
            block[row, len(before_end) :] = self.ids[: stop - start - len(before_end)]
            if row % ROWS_MAPPED == ROWS_MAPPED - 1:
                self.release()
        self.release()
        return block

    def block(self, first: int, last: int) -> Ids:
        """Windows `first` to `last` of an epoch, from 0: (N, (last - first) * T + 1)."""
        columns = self.columns(first * self.seq_length, last * self.seq_length + 1)
        return from_file_ids(columns, self.vocabulary_size, self.path)

    def window(self, index: int) -> tuple[Ids, Ids]:
        """Inputs and targets (N, T), from 0, of window `index` of an epoch."""
        ids = self.block(index, index + 1)
        return ids[:, :-1], ids[:, 1:]

    def shuffled(self, seed: int, epoch: int) -> Streams:
        """The same text as other streams: cut from a random place on, in a random order.

        Windows of one epoch then begin and end elsewhere than those of another.
        """
        random = np.random.default_rng([seed, epoch])
        offset = random.integers(len(self.ids))
        return replace(self, starts=random.permutation((self.starts + offset) % len(self.ids)))

    def share(self, rank: int, world_size: int) -> Streams:
        """The streams of one process out of several: N / world_size neighbouring rows."""
        each = self.batch_size // world_size
        return replace(self, starts=self.starts[rank * each : (rank + 1) * each])


def fitting_sizes(size: int, batch_size: int, seq_length: int) -> tuple[int, int]:
    """Batch size and window length that `size` characters suffice for.

    They are what was asked for wherever one window of it can be cut; else the number
    of streams shrinks first, then the window.

    Raises:
        ValueError: there is no pair of characters to learn from.
    """
    if size < 2:
        raise ValueError("a training split needs at least 2 characters")
    batch_size = min(batch_size, max(1, (size - 1) // seq_length))
    return batch_size, min(seq_length, (size - 1) // batch_size)


def cut_streams(data: EncodedText, split: str, batch_size: int, seq_length: int) -> Streams:
    """Cut a split into `batch_size` streams with windows of `seq_length` characters."""
    ids = data.splits[split]
    length = (len(ids) - 1) // batch_size
    starts = np.arange(batch_size) * length
    return Streams(ids, starts, length, seq_length, len(data.vocabulary), data.path, data.release)
