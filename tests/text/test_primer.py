"""The passage that a model reads before it writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.text.primer import PRIMER_CHARACTERS, middle, passage, primer_of
from charrnn.text.vocabulary import Vocabulary

LINES = "".join(f"line {n} of this text\n" for n in range(100))


def test_it_is_whole_lines_of_the_middle_and_ends_with_a_paragraph() -> None:
    chosen = passage(LINES[middle(len(LINES))])
    assert chosen in LINES
    assert chosen.startswith("line")
    assert chosen.endswith("\n")
    assert PRIMER_CHARACTERS // 2 < len(chosen) <= PRIMER_CHARACTERS
    assert passage(LINES[: LINES.index("line 20")] + "\n" + LINES[:120]).endswith("\n\n")


@given(st.text("ab \n", max_size=1000))
def test_it_is_a_part_of_any_text(text: str) -> None:
    chosen = passage(text)
    assert chosen in text
    assert bool(chosen) == bool(text)
    assert len(chosen) <= PRIMER_CHARACTERS
    assert len(text[middle(len(text))]) == min(len(text), 2 * PRIMER_CHARACTERS)


@pytest.mark.parametrize(
    ("primer", "tokens", "ids"),
    [
        ("a?b", ["a", "b", "\n"], [0, 1, 2]),
        ("ab", ["a", "b"], [0, 1]),
        ("\udcc3\udca9", ["[195]", "[169]"], [0, 1]),
        ("a" * 10**6, ["a"], [0] * PRIMER_CHARACTERS),
        ("???", ["a"], []),
        (None, ["a"], []),
    ],
)
def test_the_model_reads_what_it_knows_of_it(
    primer: object, tokens: list[str], ids: list[int]
) -> None:
    assert list(primer_of({"primer": primer}, Vocabulary.from_tokens(tokens))) == ids
