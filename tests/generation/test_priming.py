"""What a model has read before it writes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from charrnn.generation.sampler import Sampler
from charrnn.model import Model
from charrnn.models.trained import TrainedEnsemble
from charrnn.options.sampling import SamplingParams
from tests.generation.models import trained_model

PRIMER = "Some words that it knows.\n"
PRIMED = replace(trained_model(), facts={"primer": PRIMER})


def test_a_text_goes_on_from_the_primer_and_the_start() -> None:
    primed, plain = Model(PRIMED), Model(trained_model())
    for start in ("", "A", "Hm: "):
        text = primed.generate(80, start, seed=1)
        assert text == plain.generate(80, PRIMER + start, seed=1)
        assert text != plain.generate(80, start, seed=1)
        assert primed.generate(80, start, seed=1, prime="none") == plain.generate(80, start, seed=1)
    assert primed.generate(80, seed=1, num_samples=3) == plain.generate(
        80, PRIMER, seed=1, num_samples=3
    )
    # what is scored begins at the zero state
    assert np.array_equal(primed.logits("Hm"), plain.logits("Hm"))


def test_an_ensemble_has_the_first_ones() -> None:
    members = (PRIMED, trained_model(seed=4))
    ensemble = Model(TrainedEnsemble(members))
    without = Model(TrainedEnsemble((trained_model(), members[1])))
    assert ensemble.generate(40, seed=1) == without.generate(40, PRIMER, seed=1)


@pytest.mark.parametrize("prime", ["text", "none"])
@pytest.mark.parametrize("start", ["", "Hm: "])
def test_the_log_probability_of_new_text(prime: str, start: str) -> None:
    model = Model(PRIMED)
    text = model.generate(30, start, seed=1, prime=prime)
    before = (PRIMER if prime == "text" else "" if start else "\n") + start
    logits = model.logits(before + text)[len(before) - 1 : -1].astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = logs[np.arange(30), model.vocabulary.encode(text)].sum()
    asked = SamplingParams(30, start_text=start, prime=prime, temperature=0.3)
    assert Sampler(PRIMED).compute_log_prob(asked, text) == pytest.approx(expected, abs=1e-3)
    assert Sampler(PRIMED).compute_log_prob(asked, "") == 0


def test_unknown_characters_of_the_start() -> None:
    model = Model(PRIMED)
    assert model.generate(20, "né", seed=1, unknown="skip") == model.generate(20, "n", seed=1)
    assert model.generate(20, "né", seed=1, unknown="replace") == model.generate(20, "ne", seed=1)
