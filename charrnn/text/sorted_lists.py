"""Recognize lists (of names, words or titles), and shuffle their lines before the split.

Lists are usually sorted. The last tenth of a text is its validation split, and in a sorted list
its lines start with letters that the training split lacks. So the lines of a list are shuffled
before the splits are cut, and the splits are cut at line ends. All copies of a line are in the
same split, so that no validation line is trained on.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

LIST_MARK = "is_list"  # the attribute of an HDF5 file that says whether its lines were shuffled
HEAD = 1 << 16  # characters at the start of a text that decide whether it is a list
# The least number of pairs of neighboring lines in a list, the least fraction of them that is in
# order, and the largest median length of a line.
MIN_PAIRS, MIN_SORTED, MAX_MEDIAN_LENGTH = 40, 0.9, 60


def resolve_lines(lines: str, pieces: Iterable[str]) -> tuple[str, Iterator[str]]:
    """Replace ``auto`` by ``keep`` or ``shuffle``, and return all pieces of the text as well."""
    pieces = iter(pieces)
    if lines != "auto":
        return lines, pieces
    head: list[str] = []
    while sum(map(len, head)) < HEAD and (piece := next(pieces, None)) is not None:
        head.append(piece)
    lines = "shuffle" if is_sorted_list("".join(head)[:HEAD]) else "keep"
    return lines, itertools.chain(head, pieces)


def is_sorted_list(head: str) -> bool:
    """Return whether the text with this head is a sorted list of short lines.

    Lines are compared without regard to case. Empty and repeated lines do not count.
    """
    # The last line of the head may be incomplete.
    lines = [line for line in head.split("\n")[:-1] if line.strip()]
    folded = [line for line, _ in itertools.groupby(map(str.casefold, lines))]
    pairs = list(itertools.pairwise(folded))
    if len(pairs) < MIN_PAIRS:
        return False
    num_sorted = sum(first < second for first, second in pairs)
    median = sorted(map(len, lines))[len(lines) // 2]
    return num_sorted >= MIN_SORTED * len(pairs) and median <= MAX_MEDIAN_LENGTH


def shuffle_lines(text: str, sizes: dict[str, int]) -> dict[str, str]:
    """Shuffle the lines of a text and return the text of each split.

    All copies of a line are put into the same split: into val or test if there is room for all of
    them, else into train.

    Args:
        sizes: the wanted characters of train, val and test. val and test never get more.
    """
    if not text.endswith("\n"):
        text += "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    lines = text.split("\n")[:-1]
    copies = Counter(lines)
    capacity = {name: size for name, size in sizes.items() if name != "train"}
    split_of: dict[str, str] = {}
    splits: dict[str, list[str]] = {name: [] for name in sizes}
    for index in np.random.default_rng(0).permutation(len(lines)):
        line = lines[index]
        if line not in split_of:
            size = copies[line] * (len(line) + 1)
            split_of[line] = next((name for name in capacity if size <= capacity[name]), "train")
            if split_of[line] != "train":
                capacity[split_of[line]] -= size
        splits[split_of[line]].append(line)
    return {name: "".join(f"{line}\n" for line in lines) for name, lines in splits.items()}
