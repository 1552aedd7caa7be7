"""The counts of a training through the command line: counted, weighed, kept, and used."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import charrnn
from charrnn import TextDataModule
from charrnn.data import open_training_data
from charrnn.models import model_file
from charrnn.runs.result import read_result
from charrnn.training import counting, validation
from tests.generation.definition import log_probabilities
from tests.small_runs import Capture, Train, column, metrics, tensors
from tests.tools import refusal_of
from tests.training.notebook import module_of, trainer
from tests.training.test_background import read_counts

OPTIONS = ("trainer.max_steps=20", "validate_every=10")


@pytest.fixture
def words(workplace: Path) -> Path:
    """Draw a text of a few words in any order, which counts know after a thousand characters."""
    draws = random.Random(3)
    text = " ".join(draws.choice(("the", "cat", "sat", "on", "a", "mat")) for _ in range(1500))
    (workplace / "corpus.txt").write_text(text, encoding="utf-8")
    return workplace


def test_counted_weighed_kept_and_used(train: Train, words: Path) -> None:
    run = train(*OPTIONS)
    network, step = tensors(run)["best"]
    both = column(run, "val/loss_as_written")[step]
    assert both < network - 0.1

    # by the definition: the counts of the training split, mixed with the network's logits
    trained = model_file.load(run / "model.safetensors")
    table, _, by_definition = read_counts(run)
    np.testing.assert_equal(table, by_definition)
    data = open_training_data(trained.facts)
    ids, held_out = (data.get_split(split)[:] for split in ("train", "val"))
    model = charrnn.load(run)
    text = trained.vocabulary.decode(held_out.tolist())
    logs = log_probabilities(trained, held_out[:-1], ids.tolist(), longest=12)
    expected = -logs[np.arange(len(logs)), held_out[1:]].mean()
    assert model.score(text) == pytest.approx(expected, abs=1e-4)
    assert both - 0.02 < expected < both  # `both` is with the weights of the other half
    assert model.score(text, counts="none") == pytest.approx(network, abs=1e-4)
    # text is written by both
    plain = charrnn.load(run / "checkpoints" / "best.ckpt")
    assert model.generate(60, seed=1, counts="none") == plain.generate(60, seed=1)
    assert model.generate(60, seed=1) != plain.generate(60, seed=1)

    # a run without counts is the same but for them
    without = train(*OPTIONS, "~callbacks.counts", folder="without")
    theirs = model_file.load(without / "model.safetensors")
    assert theirs.counts is None
    for name, weight in theirs.weights.items():
        np.testing.assert_array_equal(weight, trained.weights[name])
    for row, other in zip(metrics(without), metrics(run), strict=True):
        assert row.pop("val/loss_as_written") == row["val/loss"]
        other.pop("val/loss_as_written")
        assert row == other


def test_a_long_split_is_cut(train: Train, words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (counting, validation):
        monkeypatch.setattr(module, "MAX_LOGITS", 200 * 10)
    with_counts, without = train(*OPTIONS), train(*OPTIONS, "~callbacks.counts", folder="without")
    facts = [model_file.read_facts(run / "model.safetensors") for run in (with_counts, without)]
    data = open_training_data(facts[0])
    assert len(data.vocabulary) == 10
    text = data.vocabulary.decode(data.get_split("val")[:201].tolist())
    expected = charrnn.load(without).score(text)
    assert facts[1]["val_loss_as_written"] == pytest.approx(expected, abs=1e-5)
    assert abs(facts[1]["val_loss"] - expected) > 1e-4
    written = charrnn.load(with_counts).score(text)
    assert written < facts[0]["val_loss_as_written"] < min(written + 0.1, expected - 0.1)


def test_none_where_there_are_none(train: Train, words: Path, capfd: Capture) -> None:
    run = train("trainer.max_steps=2", "data.val_frac=0", "data.test_frac=0.1")
    nothing = train("trainer.max_steps=2", "callbacks.counts.characters=0", folder="nothing")
    assert model_file.load(nothing / "model.safetensors").counts is None
    given = (f"checkpoint={run}", "split=test", "counts=only")
    assert "counts=only: the model" in refusal_of(capfd, "evaluate", *given)


def test_a_text_of_a_few_lines_is_its_counts(workplace: Path, train: Train) -> None:
    (workplace / "short.txt").write_text("the cat sat on the mat\n" * 60)
    run = train("data.input_txt=short.txt", "trainer.max_steps=3", "logger=csv")
    model, result = charrnn.load(run), read_result(run)
    assert result is not None
    assert result.loss == result.counts_loss
    assert model.score("the cat sat") == model.score("the cat sat", counts="only")


def test_the_same_callback_counts_the_text_of_each_trainer(words: Path) -> None:
    """Train one after the other on two texts, of which the second has other characters."""
    Path("other.txt").write_text("one two three four five six seven " * 200, "utf-8")
    counts = counting.CharacterCounts()
    for text in ("corpus.txt", "other.txt"):
        data = TextDataModule(text, batch_size=4, seq_length=10)
        data.prepare_data()
        data.setup("fit")
        run = trainer(counts, max_steps=4, val_check_interval=4, check_val_every_n_epoch=None)
        run.fit(module_of(data), data)
        losses = {name: float(value) for name, value in run.callback_metrics.items()}
        assert losses["val/loss_as_written"] < losses["val/loss"] - 0.5
