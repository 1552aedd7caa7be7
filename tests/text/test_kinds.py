"""Lists and code are recognised, and the splits of a list have no line in common."""

from __future__ import annotations

import string
from collections import Counter
from pathlib import Path

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.__main__ import main
from charrnn.options.datasets import SplitOptions
from charrnn.text.kinds import HEAD, is_list, shuffle_lines
from charrnn.text.preprocessing import compute_split_sizes
from tests.conftest import Capture
from tests.text.conftest import read_splits

NAMES = [first + rest for first in "ABCDEFGHIJKLMNOPQRST" for rest in ("ada", "bel", "Cyr", "Dor")]
LIST = "".join(f"{name}\n" for name in NAMES)
MIXED = [NAMES[i * 37 % 80] for i in range(80)]
KANA = (
    "いろはにほへとちりぬるをわかよたれそつねならむうゐのおくやまけふこえてあさきゆめみしゑひもせ"
)
CYRILLIC = str.maketrans(string.ascii_lowercase, "абцдефгхийклмнопярстуввхыз")
HEADER = "# Names of places, by frequency, from the register of 1990. See there.\n"


def repeat(line: str) -> str:
    """Return the line with each of the names."""
    return "".join(line.replace("X", name) for name in MIXED)


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        (LIST + "x" * HEAD, True),  # the last line is not whole
        (repeat("X\r\n") + "\r\n" * 9, True),
        (HEADER + repeat("X\n"), True),
        (repeat("X\nThe Last X of York\n"), True),
        (repeat("X\n").lower().translate(CYRILLIC), True),
        ("".join(f"{KANA[i:][:2]} {KANA[i * 5 % 46]}子\n" for i in range(46)), True),
        (repeat("X\n") * 3, False),  # such as notes and moves
        (repeat("the first snow\nX is asleep\nunder the plum tree X\n\n"), False),  # stanzas
        (repeat("- Is it you, X?\n- It is.\n"), False),  # dialogue
        ("".join(f"{i * 37 % 101 / 10}\n" for i in range(100)), False),  # a series of numbers
        ("", False),
    ],
)
def test_lists_are_told_from_texts(text: str, listed: bool) -> None:
    assert is_list(text) == listed


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


@pytest.mark.parametrize(("text", "encoding"), [(LIST, "utf-8"), (repeat("X\n"), "bytes")])
def test_the_splits_of_a_list_are_drawn_from_all_of_it(
    folder: Path, capsys: Capture, text: str, encoding: str
) -> None:
    Path("x.txt").write_text("Zoë\n" * 3 + text, "utf-8")
    total = Path("x.txt").stat().st_size - 3 * (encoding == "utf-8")
    found = {}
    for lines in ("keep", "auto", "shuffle"):
        words = [f"lines={lines}", f"encoding={encoding}", "val_frac=0.2"]
        assert main(["preprocess", "input_txt=x.txt", *words]) == 0
        err = capsys.readouterr().err
        assert err.count("\n") == err.startswith("the text is a list") == (lines == "auto")
        with h5py.File("x.h5", "r") as file:
            assert file.attrs["is_list"] == (lines != "keep")
        found[lines] = read_splits()
    assert found["keep"]["train"].startswith("Zo")
    assert found["auto"] == found["shuffle"]
    assert sum(map(len, found["auto"].values())) == total
    assert 0 <= 0.2 * total - len(found["auto"]["val"]) < 5
    assert len({line[0] for line in found["auto"]["val"].split("\n")[:-1]}) > 6
