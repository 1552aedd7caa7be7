"""Parts of a text side by side, one in each of a CPU's threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

Task = Callable[[int], None]
AllOf = Callable[[Task], None]  # runs a task for each part, given its number

CHUNK = 64  # columns that are run at once
LOGITS_AT_ONCE = 1 << 21


@contextmanager
def side_by_side(parts: int) -> Iterator[AllOf]:
    """Parts run side by side, each in one thread of its own.

    A single part has however many threads torch uses for each operation.
    """
    if parts == 1:
        yield lambda task: task(0)
        return
    with one_thread(), ThreadPoolExecutor(parts - 1, "evaluation") as pool:

        def all_of(task: Task) -> None:
            others = [pool.submit(task, part) for part in range(1, parts)]
            task(0)
            for other in others:
                other.result()

        yield all_of


def columns_at_once(rows: int, vocabulary_size: int) -> int:
    """Characters of each of several rows that are run together."""
    return max(1, min(CHUNK, LOGITS_AT_ONCE // (rows * vocabulary_size)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread for each operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
