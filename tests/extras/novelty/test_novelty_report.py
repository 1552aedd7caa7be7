"""A report against its plain definition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.extras.novelty.novelty_report import report_on
from charrnn.extras.novelty.training_text import TrainingText

pytest.importorskip("pydivsufsort", reason="the extra novelty is not installed")

texts = st.text(st.sampled_from("ab é\n東"), max_size=70)


@settings(deadline=None)
@given(texts, texts, st.integers(0, 60))
def test_the_shares_are_those_of_all_substrings(training: str, text: str, copied: int) -> None:
    text += training[:copied]
    found = report_on(text, TrainingText(training)).copied
    assert len(found) == min(50, len(text))
    for length, share in enumerate(found, 1):
        parts = [text[at : at + length] for at in range(len(text) - length + 1)]
        assert share == pytest.approx(sum(part in training for part in parts) / len(parts))


def test_new_words_are_told_once_whatever_their_case() -> None:
    training = TrainingText("The King's men, don’t 42 ROMEO straße")
    report = report_on("the king's MEN blork'd; Blork romeo blork'd STRASSE don’t x2y q", training)
    assert report.words == 11
    assert report.new_words == ["blork'd", "Blork", "x", "y"]


def test_what_a_person_reads() -> None:
    training = TrainingText("one two three four five six seven eight nine ten\n" * 3)
    report = report_on("xxx three four five six zzz.", training, 1.25)
    lines = str(report).splitlines()
    assert lines[0] == "novelty: 28 characters beside 147 of the training text"
    assert lines[1].split() == ["passages", "of", "5", "10", "15", "20"]
    assert lines[2].split() == ["are", "copied", "70.8%", "63.2%", "50.0%", "22.2%"]
    assert [" ".join(line.split()) for line in lines[3:]] == [
        "longest copy 21 characters, from 3 on",
        "stands in line 1, characters 7 to 28, 3 times",
        "' three four five six '",
        "new words 2 of 6: xxx, zzz",
        "the model 1.250 bits per character",
    ]


def test_json_has_all_of_it() -> None:
    report = report_on("ab ab", TrainingText("x\nab"))
    assert json.loads(json.dumps(report.plain())) == {
        "characters": 5,
        "training_characters": 4,
        "copied": [0.8, 0.5, 0, 0, 0],
        "longest": {"text": "ab", "start": 0, "place": 2, "line": 2, "count": 1},
        "words": 1,
        "new_words": [],
        "bits_per_character": None,
    }


def test_bytes_are_shown_as_the_characters_that_they_are() -> None:
    def tokens(text: str) -> str:
        return text.encode().decode("ascii", "surrogateescape")

    report = report_on(tokens("ein Zwölfer."), TrainingText(tokens("zwei Zwölf")))
    assert report.longest is not None
    assert report.longest.text == tokens(" Zwölf")
    assert report.plain()["longest"]["text"] == " Zwölf"
    assert "' Zwölf'" in str(report)
    assert report.new_words == ["ein", "Zwölfer"]


def test_nothing_to_report_on() -> None:
    report = report_on("", TrainingText("abc"))
    assert (report.copied, report.longest, report.words) == ([], None, 0)
    assert str(report) == "novelty: 0 characters beside 3 of the training text"


@pytest.mark.parametrize("text", ["", "one two three one four", "a" * 80])
def test_the_curve(text: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra novelty is not installed")
    from charrnn.extras.novelty.novelty_report import draw

    draw(report_on(text, TrainingText("one two three" + "a" * 80)), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1
