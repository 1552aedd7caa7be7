"""Test the sampling parameters, which every engine obeys."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest

from charrnn.cli import help_page
from charrnn.counts.mixing import COUNTS_ONLY
from charrnn.generation import dry
from charrnn.model import Model
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Patch
from tests.generation.definition import FILTERS, draw_at, dry_penalties, probabilities, uniforms_of
from tests.generation.models import blank_model, make_counted_model, make_torch_model, params

MODEL = Model(make_counted_model())
# what each field is given below, so that it changes the text; None: what is no matter of the draw
OTHER: dict[str, Any] = {
    **dict.fromkeys(["length", "unknown", "num_samples", "device"]),
    "start_text": "To be",
    "seed": 2,
    "temperature": 0.3,
    "sample": False,
    **{name: values[1] for name, values in FILTERS.items()},
    "new_words": 0.0,
    "dry_multiplier": 5.0,
    "dry_base": 3.0,
    "dry_allowed_length": 1,
    "ban": "aeiou",
    "until": "e",
    "plain": True,
}


def test_every_param_is_an_option_of_the_command_and_is_asked_for_here() -> None:
    page = help_page.read_page("sample").options
    assert {f.name for f in fields(SamplingParams)} == OTHER.keys() <= page.keys()


@pytest.mark.parametrize("name", [name for name, value in OTHER.items() if value is not None])
def test_no_engine_ignores_what_is_asked_for(name: str) -> None:
    """Check that every field changes the text, and that torch and NumPy agree."""
    asked = {"length": 150, "seed": 1, "temperature": 1.0}
    if name.startswith("dry_"):
        off = name == "dry_multiplier"
        asked |= {"temperature": 0, "dry_allowed_length": 2, "dry_multiplier": 0 if off else 0.7}
    with_it = MODEL.generate(**{**asked, name: OTHER[name]})
    assert with_it != MODEL.generate(**asked)
    in_torch = make_torch_model(MODEL.trained)
    assert with_it == in_torch.generate(**{**asked, name: OTHER[name]})


@pytest.mark.parametrize("blank", [" ", "\t"])
@pytest.mark.parametrize("make", [Model, make_torch_model])
def test_runs_of_1_to_40_blanks_are_written_as_defined(make: Any, blank: str) -> None:
    """Start after a run, or write long runs. The blanks of the primer do not count."""
    limits: dict[str, Any] = {"temperature": 0.5, "min_p": 0.9}
    trained, choice = blank_model(blank), params(**limits)
    logits = trained.weights["decoder.bias"]
    logits[trained.vocabulary.encode(blank)] += 3
    model = make(trained)
    characters = model.vocabulary.characters
    step = 1 if make is Model else 4  # torch is slow
    starts = ["", *("a" + n * blank + end for n in range(1, 41, step) for end in ("", "b"))]
    for seed, start in enumerate(starts):
        expected = start
        for uniform in uniforms_of(seed, 0, 40):
            each = probabilities(logits, choice, model.vocabulary, expected)
            expected += characters[draw_at(each, uniform)]
        texts = model.generate(40, start, seed=seed, num_samples=1 + seed % 2, **limits)
        assert start + texts[0] == expected


@pytest.mark.parametrize("allowed", [1, 2, 5])
@pytest.mark.parametrize(
    "text", ["", "a", "abcabcab", "aaaaaa", "to be or not to be or", "xyzxy", "zabcyabczab"]
)
def test_dry_penalties_are_as_defined(text: str, allowed: int, monkeypatch: Patch) -> None:
    """Compare after a text in one or two parts, with and without a shorter look-back."""
    params = SamplingParams(dry_multiplier=0.7, dry_base=1.5, dry_allowed_length=allowed)
    for look_back in (len(text) + 1, 5):
        monkeypatch.setattr(dry, "LOOK_BACK", look_back)
        expected = dry_penalties(text[-look_back:], 0.7, 1.5, allowed)
        for part in range(len(text) + 1):
            penalties, found = dry.DryPenalties(params, [*map(ord, text[:part])]), np.zeros(128)
            for character in text[part:]:
                penalties.append(ord(character))
            penalties.fill(found)
            assert {chr(n): found[n] for n in found.nonzero()[0]} == pytest.approx(expected)


def test_dry_takes_no_longer_after_one_character_repeated() -> None:
    """Repeat the end of the text at each of 16,384 places, or at one in 60."""
    params = SamplingParams(dry_multiplier=1, dry_base=1, dry_allowed_length=1)
    seconds = []
    for ids in (np.zeros(100_000, int), np.random.default_rng(1).integers(0, 60, 100_000)):
        start = process_time()
        penalties = dry.DryPenalties(params, ids)
        for id_ in ids[:500].tolist():
            penalties.append(id_)
            penalties.fill(np.zeros(60))
        seconds.append(process_time() - start)
    assert seconds[0] < 10 * seconds[1] < 5


def test_a_greedy_text_leaves_each_run() -> None:
    text = Path(argparse.__file__).read_text("utf-8")
    vocabulary = Vocabulary(sorted({*text}))
    model = make_counted_model(text=text, weights=COUNTS_ONLY, vocabulary=vocabulary)
    assert model.counts is not None
    runs = model.counts.runs
    assert len(runs.lengths)
    for id_ in {*runs.characters.tolist()}:
        longest = int(runs.lengths[runs.characters == id_].max())
        character = vocabulary.decode([id_])
        asked: Any = {"start_text": 9 * character, "temperature": 0}
        assert Model(model).generate(longest, **asked) != character * longest
