"""Lists: texts whose lines stand each for itself, such as names, words or titles.

A list is sorted as a rule, and its last tenth, which a text is validated on, then begins with
letters that were never trained on. So the lines of a list are shuffled before the splits are
cut, and the splits at line ends. No line stands in two splits, however often the list has it:
what is validated on was not trained on.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

# a text is told by as many characters of its beginning, so that it may have any size
HEAD = 1 << 16
# a list has so many lines that follow one another in order, short ones at least every other
PAIRS, IN_ORDER, SHORT = 40, 0.9, 60


def remark(prefix: str) -> str:
    """What is said of a list that was found, the option by its name in the command."""
    return (
        f"the lines are short and sorted, as a list's are, so they were shuffled before the splits "
        f"were cut ({prefix}lines=shuffle); {prefix}lines=keep leaves them as they are"
    )


def decided(lines: str, pieces: Iterator[str]) -> tuple[str, Iterator[str]]:
    """``keep`` or ``shuffle``, where a text decides if ``auto`` is asked for; and its pieces."""
    if lines != "auto":
        return lines, pieces
    taken, size = [], 0
    for piece in pieces:
        taken.append(piece)
        if (size := size + len(piece)) >= HEAD:
            break
    lines = "shuffle" if are_listed("".join(taken)[:HEAD]) else "keep"
    return lines, itertools.chain(taken, pieces)


def are_listed(head: str) -> bool:
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
    return in_order >= IN_ORDER * len(pairs) and _median(map(len, lines)) <= SHORT


def _median(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def shuffled(text: str, sizes: Mapping[str, int], seed: int) -> dict[str, str]:
    """The splits of a text whose lines are shuffled, each a text of whole lines.

    All copies of a line go where its first one goes: into val or test where these still have
    room for all of them, else into train.

    Args:
        sizes: characters that the splits may have, under train, val and test; val and test get
            no more than that.
        seed: decides the order, with the text.
    """
    if not text.endswith("\n"):
        text += "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    lines = text.split("\n")[:-1]
    copies = Counter(lines)
    room = {name: size for name, size in sizes.items() if name != "train"}
    split_of: dict[str, str] = {}
    splits: dict[str, list[str]] = {name: [] for name in sizes}
    for index in np.random.default_rng(seed).permutation(len(lines)):
        line = lines[index]
        if line not in split_of:
            size = copies[line] * (len(line) + 1)
            split_of[line] = next((name for name in room if size <= room[name]), "train")
            if split_of[line] != "train":
                room[split_of[line]] -= size
        splits[split_of[line]].append(line)
    return {name: "".join(f"{line}\n" for line in found) for name, found in splits.items()}
