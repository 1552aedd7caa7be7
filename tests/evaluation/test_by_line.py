"""The lines of a text by how badly they were predicted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.evaluation import Line, strangest_first


def test_the_worst_predicted_comes_first() -> None:
    losses = np.log(2) * np.array([np.nan, 1, 3, 9, 5, np.nan, 4])
    assert strangest_first("ab\n\nc?d", losses) == [
        Line(3, 2, pytest.approx(4.5), "c?d"),
        Line(1, 2, pytest.approx(2), "ab"),
    ]


def test_equal_ones_stand_in_their_order() -> None:
    found = strangest_first("a\nb\na\n", np.full(6, 0.5))
    assert [line.line for line in found] == [1, 2, 3]


@given(st.text(st.sampled_from("a \n"), min_size=1))
def test_no_loss_is_counted_twice(text: str) -> None:
    losses = np.arange(len(text)) / 7.0
    found = strangest_first(text, losses)
    blank = [line.strip() == "" for line in text.split("\n")]
    assert {line.line for line in found} == {n for n, is_ in enumerate(blank, 1) if not is_}
    if not any(blank[:-1]) and not text.endswith(" "):
        total = sum(line.bits_per_character * line.characters for line in found)
        assert total * np.log(2) == pytest.approx(losses.sum())
