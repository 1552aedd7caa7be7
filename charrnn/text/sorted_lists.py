"""Lists: texts whose lines stand each for itself, such as names, words or titles.

A list is sorted as a rule, and its last tenth, which a text is validated on, then begins with
letters that were never trained on. So the lines of a list are shuffled before the splits are cut,
and the splits at line ends. No line stands in two splits, however often the list has it: what is
validated on was not trained on.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

LIST_MARK = "is_list"  # the attribute of an HDF5 file, whether its lines were shuffled
# a text is told by as many characters of its beginning, so that it may have any size
HEAD = 1 << 16
# a list has so many lines that follow one another in order, short ones at least every other
PAIRS, IN_ORDER, SHORT = 40, 0.9, 60


def resolve_lines(lines: str, pieces: Iterable[str]) -> tuple[str, Iterator[str]]:
    """``keep`` or ``shuffle``, where a text decides if it is ``auto``; and its pieces."""
    pieces = iter(pieces)
    if lines != "auto":
        return lines, pieces
    head: list[str] = []
    while sum(map(len, head)) < HEAD and (piece := next(pieces, None)) is not None:
        head.append(piece)
    lines = "shuffle" if is_sorted_list("".join(head)[:HEAD]) else "keep"
    return lines, itertools.chain(head, pieces)


def is_sorted_list(head: str) -> bool:
    """Whether a text that begins so is a sorted list of short lines.

    Order is that of the characters, capital or small; lines that are empty, or repeat the one
    before them, say nothing of it.
    """
    # the last line of a head may be cut
    lines = [line for line in head.split("\n")[:-1] if line.strip()]
    folded = [line for line, _ in itertools.groupby(map(str.casefold, lines))]
    pairs = list(itertools.pairwise(folded))
    if len(pairs) < PAIRS:
        return False
    in_order = sum(one < other for one, other in pairs)
    median = sorted(map(len, lines))[len(lines) // 2]
    return in_order >= IN_ORDER * len(pairs) and median <= SHORT


def shuffle_lines(text: str, sizes: dict[str, int]) -> dict[str, str]:
    """The splits of a text whose lines are shuffled, each a text of whole lines.

    All copies of a line go where its first one goes: into val or test where these still have
    room for all of them, else into train.

    Args:
        sizes: characters that the splits may have, under train, val and test; val and test get
            no more than that.
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
    return {name: "".join(f"{line}\n" for line in found) for name, found in splits.items()}
