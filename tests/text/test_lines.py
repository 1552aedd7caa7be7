"""Lists are recognised, and their splits have no line in common."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.errors import InputError
from charrnn.options.datasets import DataOptions, SplitOptions
from charrnn.text.prepare import prepare
from charrnn.text.preprocessing import Preprocessed, preprocess, split_sizes
from charrnn.text.sources import HEAD, are_listed, decided, remark, shuffled
from charrnn.text.vocabulary import Vocabulary

NAMES = [first + rest for first in "ABCDEFGHIJKLMNOPQRST" for rest in ("ada", "bel", "Cyr", "Dor")]
LIST = "".join(f"{name}\n" for name in NAMES)


def splits_of(h5: Path) -> dict[str, str]:
    vocabulary = Vocabulary.read_json(h5.with_suffix(".json"))
    with h5py.File(h5, "r") as file:
        return {name: vocabulary.decode(file[name][:].astype(int) - 1) for name in file}


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
        ("\n" * 1000, False),
        ("a" * HEAD, False),
        ("", False),
    ],
)
def test_sorted_lists_are_told_from_texts(text: str, listed: bool) -> None:
    assert are_listed(text) == listed
    pieces = [text[i : i + 100] for i in range(0, len(text), 100)]
    for asked, done in (
        ("auto", "shuffle" if listed else "keep"),
        ("keep", "keep"),
        ("shuffle", "shuffle"),
    ):
        found, again = decided(asked, iter(pieces))
        assert found == done
        assert list(again) == pieces


def test_a_large_text_is_not_read_to_its_end() -> None:
    pieces = iter(["abc\n" * 1000] * 1000)
    _, again = decided("auto", pieces)
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
    sizes = split_sizes(len(text), *fractions)
    found = shuffled(text, sizes)
    assert found == shuffled(text, sizes)
    assert list(found) == ["train", "val", "test"]
    each = {name: Counter(part.split("\n")[:-1]) for name, part in found.items()}
    whole = text if text.endswith("\n") else text + "\n"
    assert sum(each.values(), Counter()) == Counter(whole.split("\n")[:-1])
    assert not each["train"] & each["val"]
    assert not (each["train"] + each["val"]) & each["test"]
    assert all(len(found[name]) <= sizes[name] for name in ("val", "test"))


def test_the_last_line_ends_as_the_others_do() -> None:
    found = shuffled("b\r\na\r\nc", split_sizes(9, 0.0, 0.0))
    assert sorted(found["train"].split("\r\n")) == ["", "a", "b", "c"]


def made(lines: str, name: str = "x.txt") -> Preprocessed:
    split = SplitOptions(val_frac=0.2, test_frac=0.1, lines=lines)
    return preprocess(name, None, None, split)


def test_the_splits_of_a_list_are_drawn_from_all_of_it(folder: Path) -> None:
    Path("x.txt").write_text(LIST)
    kept = made("keep")
    assert splits_of(kept.h5)["train"].startswith("Aada\nAbel")
    assert (kept.found_list, kept.remarks) == (False, [])
    auto = made("auto")
    assert (auto.found_list, auto.remarks) == (True, [remark("")])
    found = splits_of(auto.h5)
    assert auto.sizes == {name: len(part) for name, part in found.items()}
    assert sum(auto.sizes.values()) == len(LIST)
    assert 0 <= 0.2 * len(LIST) - auto.sizes["val"] < 5
    assert len({line[0] for line in found["val"].split("\n")[:-1]}) > 6
    asked = made("shuffle")
    assert asked.remarks == []
    assert splits_of(asked.h5) == found


@pytest.mark.parametrize("encoding", ["bytes", "utf-8"])
def test_an_encoding_is_no_matter(folder: Path, encoding: str) -> None:
    Path("x.txt").write_text("Zoë\n" * 3 + LIST, "utf-8")
    preprocess("x.txt", None, None, SplitOptions(encoding=encoding, lines="shuffle"))
    found = "".join(splits_of(Path("x.h5")).values())
    size = len((LIST + "Zoë\n" * 3).encode("utf-8" if encoding == "bytes" else "latin-1"))
    assert len(found) == size


class TestPrepared:
    """Files are found again by what was done, whether that was asked for or chosen."""

    @pytest.fixture(autouse=True)
    def _text(self, folder: Path, cache: Path) -> None:
        Path("x.txt").write_text(LIST)

    def test_it_is_said_once(self) -> None:
        said: list[str] = []
        pair = prepare(DataOptions("x.txt"), said.append)
        assert said == ["x.h5: preprocessed from x.txt", remark("data.")]
        for corpus in (DataOptions("x.txt"), DataOptions("x.txt", lines="shuffle")):
            assert prepare(corpus, pytest.fail) == pair

    def test_other_lines_are_other_files(self) -> None:
        pairs = {
            prepare(DataOptions("x.txt", lines=lines), lambda line: None)
            for lines in ("keep", "shuffle", "auto")
        }
        assert len(pairs) == 2


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"lines": "sort"}, "data.lines=sort: must be one of auto, keep, shuffle"),
        ({"lines": None}, "data.lines=None: must be one of"),
    ],
)
def test_what_cannot_be(options: dict[str, object], line: str) -> None:
    with pytest.raises(InputError, match=line):
        DataOptions("x.txt", **options)
