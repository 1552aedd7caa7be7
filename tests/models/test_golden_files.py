"""Recorded model files (tests/data/models): what they say of a text, and their bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from charrnn.model import load
from charrnn.models.trained import Architecture

FOLDER = Path(__file__).parents[1] / "data" / "models"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize(
    ("kind", "batchnorm", "dropout"),
    [("lstm", True, 0.25), ("gru", False, 0.0), ("rnn", False, 0.0)],
)
def test_a_model_file_says_what_it_said(kind: str, batchnorm: bool, dropout: float) -> None:
    model, expected = load(FOLDER / f"{kind}.safetensors"), EXPECTED[kind]
    assert model.trained.architecture == Architecture(
        kind, 4, 5, 2, dropout, batchnorm, "none", vocabulary_size=11
    )
    assert model.vocabulary.is_bytes == (kind == "gru")
    assert model.trained.facts == {"step": 300, "val_loss": 1.25, "train_loss": 1.5}
    assert np.abs(model.logits(EXPECTED["start"]) - np.array(expected["logits"])).max() < 2e-5
    assert model.score(EXPECTED["start"]) == pytest.approx(expected["score"], abs=2e-5)
    how = {"temperature": 1, "min_p": 0, "seed": 1, "engine": "numpy"}
    assert model.generate(80, "to ", **how) == expected["text"]


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_it_is_written_again_as_it_was(kind: str, tmp_path: Path) -> None:
    before, after = FOLDER / f"{kind}.safetensors", tmp_path / "again.safetensors"
    load(before).save(after)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (before, after)]
    assert digests[0] == digests[1]
