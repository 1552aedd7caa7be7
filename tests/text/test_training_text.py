"""The training text of a model: its place and its content, by plain definitions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.data import open_data
from charrnn.errors import InputError
from charrnn.options.datasets import SPLITS, SplitOptions
from charrnn.text.preprocessing import preprocess
from charrnn.text.training_text import TrainingText, find_training_text, get_corpus_name
from tests.conftest import Patch

# few characters, of one to four bytes, a byte of a model of bytes, and a surrogate that is none
texts = st.text(st.sampled_from("ab\né東🙂\udcc3\udca9\ud800"), max_size=40)
TEXT = "one\ntwo, zwölf 東\n" * 5


@settings(deadline=None)
@given(texts, texts, st.integers(0, 30))
def test_the_suffix_array_finds_what_python_finds(training: str, text: str, copied: int) -> None:
    pytest.importorskip("pydivsufsort", reason="needs the extra novelty")
    text, whole = training[copied:] + text, TrainingText(training)
    assert whole.find_longest_matches(text).tolist() == [
        max(k for k in range(end + 1) if text[end - k : end] in training)
        for end in range(1, len(text) + 1)
    ]
    if passage := text[:3]:
        assert (passage in whole) == (passage in training)


@pytest.mark.parametrize("encoding", ["utf-8", "bytes"])
def test_the_training_text_is_found_by_its_facts(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    made = preprocess(str(tmp_path / "text.txt"), None, None, SplitOptions(0.2, 0.2, encoding))
    facts = open_data(made.h5, made.json).facts
    whole = made.vocabulary.decode(made.vocabulary.encode(TEXT))
    found = find_training_text(facts, encoding).text
    assert whole.startswith(found)
    assert len(whole) * 0.6 <= len(found) < len(whole) * 0.7
    assert find_training_text(facts, encoding, str(tmp_path / "text.txt"), SPLITS).text == whole
    assert find_training_text(facts, encoding, splits=SPLITS).text == whole
    assert find_training_text({}, encoding, str(made.h5)).text == found
    assert get_corpus_name(facts) == "text"
    # A model from another person could name any text.
    del facts["fingerprint"]
    with pytest.raises(InputError, match="does not name its training data with a fingerprint"):
        find_training_text(facts, encoding)


def test_a_missing_training_text_is_refused_by_option(monkeypatch: Patch) -> None:
    for facts in ({}, {"input_h5": "gone.h5", "input_json": "gone.json"}):
        with pytest.raises(InputError, match=r"^corpus=null: .* name it: corpus="):
            find_training_text(facts, "utf-8")
    for name in ("gone.txt", "gone.h5"):
        with pytest.raises(InputError, match=f"^corpus={name}: "):
            find_training_text(facts, "utf-8", name)
    monkeypatch.setitem(sys.modules, "pydivsufsort", None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[novelty\]'"):
        TrainingText("red").find_longest_matches("red")
