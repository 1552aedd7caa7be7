"""Drawing a character of given logits, and the penalties for repetition."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn.generation import dry
from charrnn.generation.draw import Drawer
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Patch
from tests.generation.definition import FILTERS, Writer, draw_at, dry_penalties
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
        p = Writer(choice, LETTERS).probabilities(row)
        assert p[id_] > 0  # else a character is drawn that it removes
        assert id_ == draw_at(p, uniform) or uniform > 0.99


@pytest.mark.parametrize("allowed", [1, 2, 5])
@pytest.mark.parametrize(
    "text", ["", "a", "abcabcab", "aaaaaa", "to be or not to be or", "xyzxy", "zabcyabczab"]
)
def test_dry_penalties_are_as_defined(text: str, allowed: int, monkeypatch: Patch) -> None:
    """Compare after a text in one or two parts, with and without a shorter look-back."""
    choice = SamplingParams(dry_multiplier=0.7, dry_base=1.5, dry_allowed_length=allowed)
    for look_back in (len(text) + 1, 5):
        monkeypatch.setattr(dry, "LOOK_BACK", look_back)
        expected = dry_penalties(text[-look_back:], 0.7, 1.5, allowed)
        for part in range(len(text) + 1):
            penalties = dry.DryPenalties(choice, [*map(ord, text[:part])])
            for character in text[part:]:
                penalties.append(ord(character))
            found = penalties.make_penalties(128)
            assert {chr(n): found[n] for n in found.nonzero()[0]} == pytest.approx(expected)
