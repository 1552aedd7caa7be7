"""The corpus as Lightning takes it.

Lightning sees one endless epoch; ours are counted from the number of trained steps. The
position in the data is that number and nothing else, so a checkpoint cannot disagree with
its iterator: on resume the loader simply begins at the window that comes next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning as L
import torch
from torch import Tensor

from charrnn.data import Streams, from_file_ids
from charrnn.text.vocabulary import FIRST_FILE_ID

# ids of a corpus that are copied into memory at once
COPIED_IDS = 1 << 20
# a corpus up to this share of the GPU's free memory is kept there whole
GPU_SHARE = 4
COPIED_AT_ONCE = 1 << 16  # columns


class TextDataModule(L.LightningDataModule):
    """Feeds windows (ids, targets), each (N, T) int64 from 0, in the order of the text."""

    def __init__(self, streams: Streams, total_steps: int) -> None:
        super().__init__()
        self.streams = streams
        self.total_steps = total_steps
        self.trained_steps = 0

    def train_dataloader(self) -> Windows:
        assert self.trainer is not None
        world_size, rank = self.trainer.world_size, self.trainer.global_rank
        return Windows(
            self.streams.share(rank, world_size),
            first_step=self.trained_steps,
            total_steps=self.total_steps,
            device=self.trainer.strategy.root_device,
        )

    def state_dict(self) -> dict[str, Any]:
        # the count of trained batches: the iterator may have fetched ahead
        assert self.trainer is not None
        return {"trained_steps": self.trainer.global_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.trained_steps = state_dict["trained_steps"]


class Windows:
    """An iterable of windows from `first_step` on, one longer than the run needs.

    Lightning ends a run by its steps; a loader that ended with them would end its epoch
    as well, and with it the exactness of a resume at that very step.
    """

    def __init__(
        self,
        streams: Streams,
        *,
        first_step: int,
        total_steps: int,
        device: torch.device,
    ) -> None:
        self.streams = streams
        self.first_step = first_step
        self.total_steps = total_steps
        self.resident = _on_gpu(streams, device)

    def __len__(self) -> int:
        return self.total_steps + 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.resident is not None:
            yield from self._resident_windows(self.resident)
            return
        streams = self.streams
        count = max(1, COPIED_IDS // (streams.batch_size * streams.seq_length))
        step = self.first_step
        while step <= self.total_steps:
            first = step % streams.windows
            here = min(count, streams.windows - first, self.total_steps + 1 - step)
            part = streams.copied(first, here)
            for index in range(here):
                inputs, targets = part.window(index)
                yield torch.from_numpy(inputs), torch.from_numpy(targets)
            step += here

    def _resident_windows(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Windows of rows (N, L + 1) that lie on the GPU."""
        for step in range(self.first_step, self.total_steps + 1):
            start = step % self.streams.windows * self.streams.seq_length
            block = rows[:, start : start + self.streams.seq_length + 1]
            ids = block.to(torch.int64) - FIRST_FILE_ID
            yield ids[:, :-1], ids[:, 1:]


def _on_gpu(streams: Streams, device: torch.device) -> Tensor | None:
    """The rows (N, L + 1) in GPU memory, where they fit; else None."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    rows = streams.rows
    if rows.size * (1 if rows.itemsize == 1 else 4) > free // GPU_SHARE:
        return None
    kind = torch.uint8 if rows.itemsize == 1 else torch.int32
    resident = torch.empty(rows.shape, dtype=kind, device=device)
    # a part at a time, since the ids are checked as int64 first
    for start in range(0, rows.shape[1], COPIED_AT_ONCE):
        part = slice(start, start + COPIED_AT_ONCE)
        ids = from_file_ids(rows[:, part], streams.vocabulary_size, streams.path)
        resident[:, part] = (torch.from_numpy(ids) + FIRST_FILE_ID).to(device, kind)
    return resident
