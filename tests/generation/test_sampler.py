"""Test that a sample is the text of its seed, whatever happens around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.errors import InputError
from charrnn.generation import lines, sampler
from charrnn.generation.draw import Drawer
from charrnn.generation.lines import write_lines
from charrnn.generation.sampler import Sampler
from charrnn.generation.streams import StopStrings, Stream
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Patch
from tests.generation.definition import assert_follows
from tests.generation.models import blank_model, make_model


def options(**given: Any) -> SamplingParams:
    return SamplingParams(**{"length": 100, "seed": 1, **given})


def texts(model: TrainedModel, **given: Any) -> list[str]:
    """Collect the samples, and check that only the last piece of each is called so."""
    wanted, found = options(**given), []
    pieces = list(Sampler(model).write(wanted))
    for sample in range(wanted.num_samples):
        each, lasts = zip(*[(p.text, p.last) for p in pieces if p.sample == sample], strict=True)
        assert lasts == (False,) * (len(each) - 1) + (True,)
        found.append("".join(each))
    return found


def test_a_seed_decides_each_sample_and_its_beginning() -> None:
    model = make_model()
    assert texts(model, seed=3) == texts(model, seed=3)
    assert texts(model, seed=3) != texts(model, seed=4)
    assert texts(model, seed=None) != texts(model, seed=None)
    assert texts(model) == texts(model, start_text="\n")
    five = texts(model, num_samples=5)
    assert len(set(five)) == 5
    assert texts(model, num_samples=9)[:5] == five
    for length in (0, 1, 16, 100):
        assert texts(model, length=length)[0] == five[0][:length]


@pytest.mark.parametrize("model", [make_model(), blank_model()])
def test_batches_and_pieces_change_nothing(model: TrainedModel, monkeypatch: Patch) -> None:
    expected = texts(model, num_samples=11, until="b")
    monkeypatch.setattr(sampler, "STREAMS_TOGETHER", 4)
    monkeypatch.setattr(sampler, "_FIRST_CHUNK", 1)
    monkeypatch.setattr(sampler, "adjust_chunk_size", lambda steps, seconds: 1 + steps % 7)
    assert texts(model, num_samples=11, until="b") == expected


def test_without_a_newline_the_first_character_is_drawn_evenly() -> None:
    model = make_model(vocabulary=Vocabulary(list("abcde")), conviction=20)
    drawn = texts(model, length=1, num_samples=500)
    assert_follows(np.array([drawn.count(c) for c in "abcde"]), np.full(5, 0.2))
    greedy = texts(model, length=30, num_samples=3, sample=False)
    for first, text in zip(drawn, greedy, strict=False):
        assert text == first + texts(model, length=29, start_text=first, sample=False)[0]
    assert set(texts(model, length=1, num_samples=300, ban="ad")) == set("bce")
    assert texts(model, length=0) == [""]


@given(
    st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=5), st.lists(st.integers(1, 4))
)
def test_no_part_of_until_is_ever_shown(text: str, until: str, cuts: list[int]) -> None:
    params, vocabulary = SamplingParams(len(text)), Vocabulary(["a", "b"])
    stream = Stream(Drawer(params, vocabulary), seed=0, sample=0, last=0, stops=[until])
    shown, ended, position = "", None, 0
    for size in [*cuts, len(text)]:
        if ended or (position and position == len(text)):
            break
        part = text[position : position + size]
        piece, ended = stream.append_and_show(["ab".index(character) for character in part])
        position += len(part)
        shown += piece
        assert text.split(until)[0].startswith(shown)
        # and nothing is kept back that cannot be a part of it
        if not ended and not any(text[:position].endswith(until[:n]) for n in range(1, len(until))):
            assert shown == text[:position]
    assert ended
    assert shown == text.split(until)[0]


def test_the_stop_that_is_complete_first_ends_a_text() -> None:
    for stops in (["bcd", "c"], ["c", "bcd"]):
        assert StopStrings(stops).push("abcd") == ("ab", True)


def test_a_model_of_bytes_reads_its_start_and_until_as_bytes() -> None:
    tokens = ["a", "\n", "[195]", "[169]", "[200]"]
    model = make_model(vocabulary=Vocabulary.from_tokens(tokens), conviction=1)
    start = "é".encode().decode("ascii", "surrogateescape")
    text = texts(model, length=300, start_text="é")[0]
    assert text == texts(model, length=300, start_text=start)[0]
    assert set(text) == set("a\n\udcc3\udca9\udcc8")
    assert texts(model, length=300, start_text="é", until="é")[0] == text.split(start)[0]
    assert texts(model, length=300, start_text="é", until="\ud800")[0] == text


PRIMER = "Some words that it knows.\n"
PRIMED = replace(make_model(), facts={"primer": PRIMER})


def test_a_text_goes_on_from_the_primer_and_the_start() -> None:
    primed, plain = Model(PRIMED), Model(make_model())
    for start in ("", "Hm: "):
        text, alone = primed.generate(80, start, seed=1), plain.generate(80, start, seed=1)
        assert text == plain.generate(80, PRIMER + start, seed=1) != alone
    # scoring starts at the zero state
    assert np.array_equal(primed.logits("Hm"), plain.logits("Hm"))


# whose lines are short, and often empty or the same
SHORT = make_model(vocabulary=Vocabulary(list("\nab ")), conviction=1)


def lines_of(model: TrainedModel = SHORT, known: Any = (), **given: Any) -> list[str]:
    how = options(**{"length": 30, "num_samples": 40, **given})
    return [line.text for line in write_lines(Sampler(model), how, known)]


def test_a_line_is_the_next_usable_sample(monkeypatch: Patch) -> None:
    got, expected = lines_of(), list[str]()
    assert len(got) == 40
    for text in texts(SHORT, length=30, num_samples=200):
        line, newline, _ = text.partition("\n")
        if newline and line.strip() and line.rstrip() not in expected:
            expected.append(line.rstrip())
    assert got == expected[:40]
    assert lines_of(num_samples=9) == expected[:9]
    monkeypatch.setattr(lines, "_MAX_LINES", 5)
    monkeypatch.setattr(lines, "_MIN_LINES", 1)
    assert lines_of() == got


def test_a_list_that_ends_early_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(lines_of(length=1)) == ["a", "b"]
    assert "mode=lines: found 2 of 40 lines" in capsys.readouterr().err


def test_a_model_without_a_newline_writes_no_lines() -> None:
    with pytest.raises(InputError, match="mode=lines: the model knows no newline"):
        write_lines(Sampler(blank_model()), options())
