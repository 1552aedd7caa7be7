"""Test the runs of blanks and the penalties for repetition against their definitions."""

from __future__ import annotations

from typing import Any

import pytest

from charrnn.generation import dry
from charrnn.model import Model
from charrnn.options.sampling import SamplingParams
from tests.conftest import Patch
from tests.generation.definition import draw_at, dry_penalties, probabilities, uniforms_of
from tests.generation.models import blank_model, make_torch_model, params


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
            penalties = dry.DryPenalties(params, [*map(ord, text[:part])])
            for character in text[part:]:
                penalties.append(ord(character))
            found = penalties.make_penalties(128)
            assert {chr(n): found[n] for n in found.nonzero()[0]} == pytest.approx(expected)
