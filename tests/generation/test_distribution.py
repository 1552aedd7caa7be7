"""What is written follows the model's own distribution, whatever is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charrnn.model import Ensemble, Model, Predictor
from charrnn.models.ensemble import TrainedEnsemble
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import params, trained_model
from tests.generation.test_token_sampler import probabilities

LETTERS = Vocabulary(list("\nabcdefghijk"))
DRAWS = 2000
# the 0.999 quantiles of chi-squared, by degrees of freedom
QUANTILES = dict(
    enumerate([0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88, 29.59, 31.26])
)

OPTIONS: list[tuple[dict[str, Any], SamplingParams]] = [
    ({}, params()),
    ({"temperature": 0.5}, params(0.5)),
    ({"temperature": 5}, params(5)),
    ({"temperature": 1e-6}, params(1e-6)),
    ({"top_k": 4}, params(top_k=4)),
    ({"top_p": 0.7}, params(top_p=0.7)),
    ({"min_p": 0.1}, params(min_p=0.1)),
    ({"ban": "ceg?"}, params(ban="ceg?")),
    (
        {"temperature": 1.5, "top_k": 8, "top_p": 0.95, "min_p": 0.05, "ban": "a"},
        params(1.5, top_k=8, top_p=0.95, min_p=0.05, ban="a"),
    ),
]


def predictor(members: int = 1) -> Predictor:
    models = [trained_model(vocabulary=LETTERS, conviction=2, seed=3 + n) for n in range(members)]
    return Model(models[0]) if members == 1 else Ensemble(TrainedEnsemble(tuple(models)))


def assert_follows(counts: np.ndarray, expected: np.ndarray) -> None:
    """Chi-squared, the rare taken together; what cannot be never is."""
    assert counts[expected == 0].sum() == 0
    expected = expected * counts.sum()
    rare = expected < 5
    counts, expected = (
        np.append(values[~rare], values[rare].sum()) for values in (counts, expected)
    )
    counts, expected = counts[expected > 1], expected[expected > 1]
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic <= QUANTILES[len(counts) - 1]


@pytest.mark.parametrize(("given", "choice"), OPTIONS, ids=str)
@pytest.mark.parametrize("engine", ["numpy", "numba", "torch", "ensemble"])
def test_the_next_character(given: dict[str, Any], choice: SamplingParams, engine: str) -> None:
    if engine == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    model = predictor(2 if engine == "ensemble" else 1)
    engine = "numpy" if engine == "ensemble" else engine
    drawn = model.generate(
        1, "abc", num_samples=DRAWS, seed=5, engine=engine, **{"temperature": 1, **given}
    )
    counts = np.bincount(LETTERS.encode("".join(drawn)), minlength=len(LETTERS))
    assert_follows(counts, probabilities(model.logits("abc")[-1], choice, LETTERS))


@pytest.mark.parametrize(("given", "choice"), OPTIONS, ids=str)
def test_the_characters_of_a_text(given: dict[str, Any], choice: SamplingParams) -> None:
    """Those of one long text, given what stands before them, have a mean surprise as expected."""
    model = predictor()
    text = model.generate(DRAWS, "abc", seed=6, **{"temperature": 1, **given})
    each = probabilities(model.logits("abc" + text)[2:-1], choice, LETTERS)
    chosen = each[np.arange(DRAWS), LETTERS.encode(text)]
    assert (chosen > 0).all()
    logs = np.log(each, where=each > 0, out=np.zeros_like(each))
    mean = (each * logs).sum(1)
    variance = (each * logs**2).sum(1) - mean**2
    assert abs((np.log(chosen) - mean).sum()) <= 3.3 * np.sqrt(variance.sum()) + 1e-6


def test_every_character_banned_is_refused() -> None:
    from charrnn.errors import InputError

    with pytest.raises(InputError, match=r"^ban: every character"):
        predictor().generate(3, ban="\nabcdefghijk")
    assert set(predictor().generate(30, ban="\nabcdefghij")) == {"k"}
