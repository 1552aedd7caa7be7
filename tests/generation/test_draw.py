"""Drawing a character of given logits."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn.generation.debts import Debts, find_ends
from charrnn.generation.draw import Drawer
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.generation.definition import FILTERS, draw_at, probabilities
from tests.generation.models import params

LETTERS = Vocabulary(list("abcdefghijkl"))
CHOICES = [
    params(),
    *(params(temperature=t) for t in (0, 0.3, 7.0, 1e-30, 5e-324, 1e30)),
    *(params(**{name: value}) for name, values in FILTERS.items() for value in values),
    params(temperature=1.7, top_k=6, top_p=0.8),
    params(temperature=1e300, top_p=0.4),
    params(temperature=1e-300, top_k=1),
    params(temperature=2.5, top_k=7, top_p=0.95, min_p=0.2),
    params(ban="adl"),
    params(ban="f", temperature=0),
    params(ban="bce", temperature=1.3, top_k=5, top_p=0.9, min_p=0.01),
]
N = 100


@pytest.mark.parametrize("choice", CHOICES)
def test_a_draw_inverts_the_cumulated_probabilities(choice: SamplingParams) -> None:
    logits = np.random.default_rng(2).normal(0, 3, (N, len(LETTERS))).astype(np.float32)
    logits[::3] = logits[::3].round()  # with ties
    logits[1::3, [0, -1]] = -1000  # the first and the last character never
    uniforms = np.random.default_rng(3).random(N)
    uniforms[:9], uniforms[9:18] = 0.0, np.nextafter(1, 0)
    with np.errstate(all="raise", under="ignore"):
        drawer = Drawer(choice, LETTERS)
        ids = drawer.draw(logits, uniforms.tolist(), [drawer.resume() for _ in logits])
    for row, uniform, id_ in zip(logits, uniforms, ids, strict=True):
        p = probabilities(row, choice, LETTERS)
        assert p[id_] > 0  # else a character is drawn that it removes
        assert id_ == draw_at(p, uniform) or uniform > 0.99


def test_only_a_newline_is_paid_after_a_mark() -> None:
    vocabulary = Vocabulary(["a", "\n", "."])
    ends = find_ends(vocabulary, {})
    for last, paid in ((0, [0.0, 2.0, 2.0]), (1, [0.0, 0.0, 0.0]), (2, [0.0, 2.0, 0.0])):
        scores = np.zeros(3)
        debts = Debts(ends, last)
        debts.values = [1.0] * 3
        debts.repay(scores, np.ones(3), 3.0, 2.0)
        assert scores.tolist() == paid
