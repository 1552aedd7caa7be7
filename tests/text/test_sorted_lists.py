"""Lists are recognised, and their splits have no line in common."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.__main__ import main
from charrnn.options.datasets import SplitOptions
from charrnn.text.preprocessing import compute_split_sizes
from charrnn.text.sorted_lists import HEAD, resolve_lines, shuffle_lines
from charrnn.text.vocabulary import Vocabulary

NAMES = [first + rest for first in "ABCDEFGHIJKLMNOPQRST" for rest in ("ada", "bel", "Cyr", "Dor")]
LIST = "".join(f"{name}\n" for name in NAMES)


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        (LIST, True),
        (LIST.lower(), True),
        (LIST.replace("\n", "\r\n"), True),
        (LIST.replace("\n", "\n\n"), True),
        ("".join(sorted(LIST.splitlines(True) * 2, key=str.casefold)), True),
        (LIST * 20, True),  # of several letters, each sorted
        (LIST + "x" * HEAD, True),  # the last line is not whole
        ("".join(f"{name}{'x' * 60}\n" for name in NAMES), False),  # no short lines
        ("".join(LIST.splitlines(True)[::7]), False),  # too few to tell
        ("".join(LIST.splitlines(True)[i * 37 % 80] for i in range(80)), False),
        ("to be or not to be\n" * 1000, False),  # repeated, not sorted
        ("a" * HEAD, False),
        ("", False),
    ],
)
def test_sorted_lists_are_told_from_texts(text: str, listed: bool) -> None:
    pieces = [text[i : i + 100] for i in range(0, len(text), 100)]
    for lines, expected in (("auto", "shuffle" if listed else "keep"), ("keep", "keep")):
        found, again = resolve_lines(lines, pieces)
        assert found == expected
        assert list(again) == pieces


def test_a_large_text_is_not_read_to_its_end() -> None:
    pieces = iter(["abc\n" * 1000] * 1000)
    _, again = resolve_lines("auto", pieces)
    assert 900 < len(list(pieces)) < 1000
    del again


@given(
    st.lists(st.sampled_from(["", "a", "Bob", "Zoë", "x" * 30]) | st.text("abc"), min_size=1),
    st.booleans(),
    st.sampled_from([(0.1, 0.1), (0.0, 0.0), (0.4, 0.5), (0.3, 0.0)]),
)
def test_every_line_is_there_once_in_one_split(
    lines: list[str], ended: bool, fractions: tuple[float, float]
) -> None:
    text = "\n".join(lines) + "\n" * ended
    sizes = compute_split_sizes(len(text), SplitOptions(*fractions))
    found = shuffle_lines(text, sizes)
    assert found == shuffle_lines(text, sizes)
    each = {name: Counter(part.split("\n")[:-1]) for name, part in found.items()}
    whole = text if text.endswith("\n") else text + "\n"
    assert sum(each.values(), Counter()) == Counter(whole.split("\n")[:-1])
    assert not each["train"] & each["val"]
    assert not (each["train"] + each["val"]) & each["test"]
    assert all(len(found[name]) <= sizes[name] for name in ("val", "test"))


def test_the_last_line_ends_as_the_others_do() -> None:
    found = shuffle_lines("b\r\na\r\nc", {"train": 9, "val": 0, "test": 0})
    assert sorted(found["train"].split("\r\n")) == ["", "a", "b", "c"]


@pytest.mark.parametrize("encoding", ["bytes", "utf-8"])
def test_the_splits_of_a_list_are_drawn_from_all_of_it(
    folder: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    Path("x.txt").write_text("Zoë\n" * 3 + LIST, "utf-8")
    total = Path("x.txt").stat().st_size - 3 * (encoding == "utf-8")
    found, said = {}, {}
    for lines in ("keep", "auto", "shuffle"):
        words = [f"lines={lines}", f"encoding={encoding}", "val_frac=0.2"]
        assert main(["preprocess", "input_txt=x.txt", *words]) == 0
        said[lines] = capsys.readouterr().err
        vocabulary = Vocabulary.read_json(Path("x.json"))
        with h5py.File("x.h5", "r") as file:
            assert file.attrs["is_list"] == (lines != "keep")
            ids = {name: file[name][:].astype(np.int64) - 1 for name in file}
        found[lines] = {name: vocabulary.decode(part) for name, part in ids.items()}
    assert said["keep"] == said["shuffle"] == ""
    assert said["auto"].startswith("the text is a sorted list")
    assert said["auto"].count("\n") == 1
    assert found["keep"]["train"].startswith("Zo")
    assert found["auto"] == found["shuffle"]
    assert sum(map(len, found["auto"].values())) == total
    assert 0 <= 0.2 * total - len(found["auto"]["val"]) < 5
    assert len({line[0] for line in found["auto"]["val"].split("\n")[:-1]}) > 6
