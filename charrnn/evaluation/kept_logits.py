"""The logits of a text that is scored, for whoever mixes them with something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.data import SplitIds
from charrnn.evaluation.rows import Block


class KeptLogits:
    """The logits of the beginning of each row of a text; of all of it where there is room.

    Args:
        room: for so many numbers.
        before: how many characters before each row are wanted, B.

    Attributes:
        logits: (R, C, V), of C characters of each row, the largest 0; in 16 bits, for the memory,
            which changes a loss by some millionths of a nat.
        starts: (R,), the place of the first id that was read in each row.
        ids: (R, B + C + 1), the B before that place, those that were read, and the one after the
            last; before the beginning of the text they mean nothing.
        count: how many of the R C characters, row after row, are of the text.
    """

    def __init__(self, room: int, before: int) -> None:
        self.room, self.before = room, before

    def make_room(
        self,
        ids: SplitIds,
        starts: npt.NDArray[Any],
        length: int,
        last: int,
        vocabulary_size: int,
    ) -> None:
        """Begin with rows of a length that start at places (R,), the last of which may be short.

        Args:
            last: the place of the last character that is predicted.
        """
        columns = min(length, self.room // (len(starts) * vocabulary_size))
        places = starts[:, None] + np.arange(-self.before, columns + 1)
        self.starts, self.ids = starts, ids.convert(ids.stored[places.clip(0, last)])
        self.logits = np.empty((len(starts), columns, vocabulary_size), np.float16)
        self.count = (len(starts) - 1) * columns + min(columns, last - int(starts[-1]))

    def take(self, rows: slice, block: Block) -> None:
        """Keep the logits of some rows."""
        columns = self.logits.shape[1] - block.column
        if block.column >= 0 and columns > 0:
            logits = block.logits[:, :columns]
            # near 0, where 16 bits are dense, the likeliest most of all
            kept = (logits - logits.amax(-1, keepdim=True)).half().cpu().numpy()
            self.logits[rows, block.column : block.column + kept.shape[1]] = kept
