"""A training text against a plain definition: slices, and Python's own search."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import InputError
from charrnn.extras.novelty.training_text import TrainingText

pytest.importorskip("pydivsufsort", reason="the extra novelty is not installed")

# few characters, of one to four bytes, a byte of a model of bytes, and a surrogate that is none
ALPHABET = "ab\né東🙂\udcc3\udca9\ud800"
texts = st.text(st.sampled_from(ALPHABET), max_size=40)


def plain_matches(text: str, training: str) -> list[int]:
    return [
        max(k for k in range(end + 1) if text[end - k : end] in training)
        for end in range(1, len(text) + 1)
    ]


@settings(deadline=None)
@given(texts, texts)
def test_it_has_what_python_finds(training: str, passage: str) -> None:
    whole = TrainingText(training)
    found = whole.find(passage, start=7)
    assert (passage in whole) == (passage in training) == (found is not None)
    if found is not None:
        place = training.index(passage)
        assert (found.text, found.start, found.place) == (passage, 7, place)
        assert found.line == training[:place].count("\n") + 1
        starts = range(len(training) + 1)
        assert found.count == sum(training.startswith(passage, start) for start in starts)


@settings(deadline=None)
@given(texts, texts)
def test_the_longest_matches_are_those_of_the_definition(training: str, text: str) -> None:
    found = TrainingText(training).longest_matches(text)
    assert found.dtype == np.int64
    assert found.tolist() == plain_matches(text, training)


@settings(deadline=None)
@given(texts, texts, texts)
def test_the_longest_copy(training: str, before: str, after: str) -> None:
    text = before + training[3:30] + after
    longest = max(plain_matches(text, training), default=0)
    copy = TrainingText(training).longest_copy(text)
    if copy is None:
        assert longest == 0
    else:
        assert len(copy.text) == longest
        assert text[copy.start :].startswith(copy.text)
        assert training[copy.place :].startswith(copy.text)
        ends = [copy.text in text[: copy.start + k] for k in range(longest)]
        assert not any(ends)  # no earlier one


def test_empty_texts() -> None:
    assert "" in TrainingText("")
    assert "a" not in TrainingText("")
    assert TrainingText("").longest_copy("abc") is None
    assert TrainingText("abc").longest_copy("") is None
    assert len(TrainingText("éé")) == 2


def test_a_long_text_that_is_all_copied() -> None:
    training = "".join(np.random.default_rng(0).choice(list("abcd \n"), 20_000))
    text = training[5000:9000]
    copy = TrainingText(training).longest_copy("X" + text)
    assert copy is not None
    assert (copy.start, copy.place, len(copy.text), copy.count) == (1, 5000, 4000, 1)


def test_threads_share_it() -> None:
    training = "to be or not to be " * 500
    whole, found = TrainingText(training), []
    threads = [threading.Thread(target=lambda: found.append("not to" in whole)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_its_lines_need_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydivsufsort", None)
    whole = TrainingText("red\nblue\nred")
    assert whole.lines == {"red", "blue"}
    line = r"needs pydivsufsort .*pip install .*\[novelty\]'"
    with pytest.raises(InputError, match=line):
        whole.longest_matches("red")
