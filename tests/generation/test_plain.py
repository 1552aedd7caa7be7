"""Test plain=true: the softmax of the network's logits at a temperature, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.model import Model
from charrnn.text.prompt import PRIMER_FACT
from tests.conftest import Capture
from tests.generation.definition import uniforms_of
from tests.generation.models import make_counted_model, make_torch_model

MODEL = Model(replace(make_counted_model(), facts={PRIMER_FACT: "The rat.\n"}))


def write_plainly(start: str, length: int, temperature: float, seed: int) -> str:
    """Draw each character from softmax(logits / temperature), as torch-rnn did."""
    text = start
    for uniform in uniforms_of(seed, 0, length):
        logits = MODEL.logits(text, counts="none")[-1].astype(np.float64)
        weights = np.exp((logits - logits.max()) / temperature)
        sums = weights.cumsum()
        text += MODEL.vocabulary.characters[np.searchsorted(sums, uniform * sums[-1], "right")]
    return text[len(start) :]


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.7])
@pytest.mark.parametrize("start", ["T", "That rat.\n", "a      "])
def test_each_character_is_drawn_from_the_softmax_of_the_network(
    start: str, temperature: float
) -> None:
    """Check a text that counts, debts, new_words, min_p and the rule for blanks would change."""
    expected = write_plainly(start, 120, temperature, seed=3)
    asked: dict[str, Any] = {"temperature": temperature, "seed": 3}
    for model in (MODEL, make_torch_model(MODEL.trained)):
        assert model.generate(120, start, plain=True, **asked) == expected
        assert "".join(model.stream(120, start, plain=True, **asked)) == expected
        assert model.generate(120, start, **asked) != expected
    together = MODEL.generate(120, start, plain=True, num_samples=2, **asked)
    assert together[0] == expected


def test_what_is_given_beside_it_applies_or_is_refused(path: Path, capfd: Capture) -> None:
    asked: dict[str, Any] = {"plain": True, "temperature": 1.5, "seed": 1}
    text = MODEL.generate(200, "T", **asked)
    dry = {"dry_multiplier": 5.0, "dry_allowed_length": 1}
    for given in ({"top_k": 2}, {"top_p": 0.3}, {"ban": "aeiou"}, dry):
        assert MODEL.generate(200, "T", **asked, **given) != text
    assert MODEL.generate(200, "T", **asked, min_p=0, counts="none") == text
    for option in ({"min_p": 0.5}, {"new_words": 0.5}, {"counts": "only"}):
        (name,) = option
        with pytest.raises(InputError, match=rf"{name}.*: plain=true .*; leave one out"):
            MODEL.generate(200, "T", **asked, **option)
    words = ["start_text=T", "length=50", "seed=1", "plain=true"]
    MODEL.save(path)
    assert main(["sample", str(path), *words]) == 0
    assert capfd.readouterr().out == "T" + write_plainly("T", 50, 0.8, seed=1)
