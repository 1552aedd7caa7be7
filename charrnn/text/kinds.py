"""Recognize code and lists (of names, words or titles), and shuffle the lines of a list.

A list is recognized by its lines, sorted or not. The last tenth of a text is its validation split,
and in a sorted list its lines start with letters that the training split lacks. So the lines of a
list are shuffled before the splits are cut, and the splits are cut at line ends. All copies of a
line are in the same split, so that no validation line is trained on.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter

import numpy as np

LIST_MARK = "is_list"  # in an HDF5 file and in the facts of a model whose lines were shuffled
HEAD = 1 << 16  # characters at the start of a text that decide whether it is a list, or wrapped
MIN_LINES = 40  # fewer different lines are too few to tell
# The largest means of a line. Full names have up to 3.2 words, the lines of songs 6. Chinese and
# Japanese have no spaces between words, but their prose is wrapped after 35 characters or more.
MAX_WORDS, MAX_LINE_CHARACTERS = 3.5, 30
# The least fraction of the lines that are different. Events, such as notes or moves, repeat.
MIN_DIFFERENT = 0.5
# The largest fraction of the lines that are empty, indented or end in punctuation. The stanzas of
# most poems are shorter than 20 lines, and code is indented.
MAX_UNLIKE = 0.05
MAX_DIGITS = 0.5  # the largest fraction of the characters: the order of measured numbers matters


def take_head(text: str) -> str:
    """Return the complete lines among the first `HEAD` characters of a text."""
    return text if len(text) < HEAD else text[:HEAD].rpartition("\n")[0]


def is_list(text: str) -> bool:
    """Return whether a text is a list, by its first lines.

    A list has many short lines with few words in each. Most of them are different, and hardly any
    are empty, indented or end in punctuation. Equal neighbors count once.
    """
    rows = take_head(text).removesuffix("\n").split("\n")
    lines = [line for line, _ in itertools.groupby(map(str.rstrip, rows))]
    num_lines, joined = len(lines), "".join(lines)
    return (
        len(set(lines)) >= max(MIN_LINES, MIN_DIFFERENT * num_lines)
        and sum(len(line.split()) for line in lines) <= MAX_WORDS * num_lines
        and len(joined) <= MAX_LINE_CHARACTERS * num_lines
        and sum(not is_entry(line) for line in lines) <= MAX_UNLIKE * num_lines
        and sum(map(str.isdigit, joined)) <= MAX_DIGITS * len(joined)
    )


def is_entry(line: str) -> bool:
    """Return whether the line is not empty or indented, and does not end in punctuation."""
    return bool(line) and not line[0].isspace() and unicodedata.category(line[-1])[0] != "P"


def shuffle_lines(text: str, sizes: dict[str, int]) -> dict[str, str]:
    """Shuffle the lines of a text and return the text of each split.

    All copies of a line are put into the same split: into val or test if there is room for all of
    them, else into train.

    Args:
        sizes: the wanted characters of train, val and test. val and test never get more.
    """
    if not text.endswith("\n"):
        text += "\n"
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


# -- code ------------------------------------------------------------------------------------------

# The least fractions of lines that are indented, and of characters that are signs. Prose with
# indented names of authors has fewer.
INDENTED_SHARE, SIGNS_SHARE = 0.1, 0.03
SIGNS = frozenset("(){}[]<>=_+*/|\\&#$;")


def is_code(text: str) -> bool:
    """Return whether a text looks like code: indented lines, and signs of code."""
    lines = [line for line in text.split("\n") if line.strip()]
    indented = sum(line[0] in " \t" for line in lines)
    characters = "".join(text.split())
    signs = sum(character in SIGNS for character in characters)
    return indented > INDENTED_SHARE * len(lines) and signs > SIGNS_SHARE * len(characters)
