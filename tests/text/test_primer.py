"""The passage that a model reads before it writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from charrnn.text.primer import PRIMER_CHARACTERS, middle, passage, primer_of
from charrnn.text.vocabulary import Vocabulary

LINES = "".join(f"line {n} of this text\n" for n in range(100))


def test_it_is_whole_lines_of_the_middle() -> None:
    text = LINES[middle(len(LINES))]
    chosen = passage(text)
    assert chosen in LINES
    assert chosen.startswith("line")
    assert chosen.endswith("\n")
    assert PRIMER_CHARACTERS // 2 < len(chosen) <= PRIMER_CHARACTERS


def test_it_ends_with_a_paragraph_where_one_ends() -> None:
    text = LINES[: LINES.index("line 20")] + "\n" + LINES[:120]
    assert passage(text).endswith("\n\n")


@given(st.text("ab \n", max_size=1000))
def test_it_is_a_part_of_any_text(text: str) -> None:
    chosen = passage(text)
    assert chosen in text
    assert len(chosen) <= PRIMER_CHARACTERS
    assert bool(chosen) == bool(text)
    part = middle(len(text))
    assert len(text[part]) == min(len(text), 2 * PRIMER_CHARACTERS)


def test_the_model_reads_what_it_knows_of_it() -> None:
    vocabulary = Vocabulary(list("ab\n"))
    assert list(primer_of({"primer": "a?b"}, vocabulary)) == [0, 1, 2]
    assert list(primer_of({"primer": "ab\n"}, vocabulary)) == [0, 1, 2]
    assert list(primer_of({"primer": "ab"}, Vocabulary(list("ab")))) == [0, 1]
    for nothing in ({}, {"primer": ""}, {"primer": 3}, {"primer": "???"}):
        assert list(primer_of(nothing, vocabulary)) == []
    assert len(primer_of({"primer": "a" * 10**6}, vocabulary)) <= PRIMER_CHARACTERS + 1
    as_bytes = Vocabulary.from_tokens(["[195]", "[169]"])
    assert list(primer_of({"primer": "\udcc3\udca9"}, as_bytes)) == [0, 1]
