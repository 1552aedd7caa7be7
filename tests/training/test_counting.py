"""The counts of a training: of its text and of other texts, weighed, kept, and used."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charrnn
from charrnn.data import find_training_data, open_training_data
from charrnn.models import model_file
from charrnn.runs.result import read_result
from charrnn.text.background import PASSAGE, Background, remove_shared_passages
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import counting, validation
from tests.conftest import write_files
from tests.generation.definition import log_probabilities
from tests.generation.models import count_passages
from tests.small_runs import Capture, Train, column, metrics, tensors
from tests.tools import refusal_of

OPTIONS = ("trainer.max_steps=20", "validate_every=10", "callbacks.samples.length=0")
RESUME = ("train", "resume=run")
KEPT = "callbacks.checkpoints.keep_every=10"
LETTERS = "abcdefghij "


def draw_words(count: int, seed: int) -> str:
    """Draw from two hundred words, most of which are rare in a short text."""
    draws, language = random.Random(seed), random.Random(0)
    words = ["".join(language.choices(LETTERS[:-1], k=6)) for _ in range(200)]
    return " ".join(draws.choices(words, k=count))


@pytest.fixture
def texts(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a short text, a long one of the same words with other characters in it, and noise."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    noise = "".join(random.Random(3).choices(LETTERS, k=9000))
    other = f"Ä{draw_words(5000, 2)}Ö"
    files = {"corpus.txt": draw_words(400, 1), "other.txt": other, "noise.txt": noise}
    write_files(workplace, files)
    return workplace


@pytest.fixture
def few_words(workplace: Path) -> Path:
    """Write a text of a few words in any order, which counts know after a thousand characters."""
    draws = random.Random(3).choices(("the", "cat", "sat", "on", "a", "mat"), k=1500)
    write_files(workplace, {"corpus.txt": " ".join(draws)})
    return workplace


def check_table(run: Path) -> dict[str, Any]:
    """Compare the table of a run's model with its definition. Return the facts of the model."""
    trained = model_file.load(run / "model.safetensors")
    assert trained.counts is not None
    data = open_training_data(trained.facts)
    names = str(trained.facts.get("background", "")).split(", ")
    text = "".join(Path(name).read_text("utf-8") for name in names if name.endswith(".txt"))
    other = trained.vocabulary.look_up(text)
    other = other[other >= 0][: trained.facts.get("background_counted")]
    ids = np.concatenate([other, data.get_split("train")[:]])
    table = count_passages(ids, len(trained.vocabulary), trained.counts.table.context)
    np.testing.assert_equal(trained.counts.table.to_arrays(), table.to_arrays())
    return trained.facts


def check_resume(train: Train, run: Path) -> None:
    """Check that a resume from step 10 writes the same model."""
    whole = (run / "model.safetensors").read_bytes()
    (run / "checkpoints" / "step-10.ckpt").rename(run / "checkpoints" / "last.ckpt")
    train("resume=run", small=False)
    assert (run / "model.safetensors").read_bytes() == whole


def test_counted_weighed_kept_and_used(train: Train, few_words: Path) -> None:
    run = train(*OPTIONS)
    network, step = tensors(run)["best"]
    both = column(run, "val/loss_as_written")[step]
    assert both < network - 0.1

    # by the definition: the counts of the training split, mixed with the network's logits
    check_table(run)
    trained, model = model_file.load(run / "model.safetensors"), charrnn.load(run)
    data = open_training_data(trained.facts)
    ids, held_out = (data.get_split(split)[:] for split in ("train", "val"))
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
    np.testing.assert_equal(theirs.weights, trained.weights)
    for row, other in zip(metrics(without), metrics(run), strict=True):
        assert row.pop("val/loss_as_written") == row["val/loss"]
        other.pop("val/loss_as_written")
        assert row == other


def test_a_long_split_is_cut(
    train: Train, few_words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_text_of_a_few_lines_is_its_counts(workplace: Path, train: Train) -> None:
    write_files(workplace, {"short.txt": "the cat sat on the mat\n" * 60})
    run = train("data.input_txt=short.txt", "trainer.max_steps=3", "logger=csv")
    model, result = charrnn.load(run), read_result(run)
    assert result is not None
    assert result.loss == result.counts_loss
    assert model.score("the cat sat") == model.score("the cat sat", counts="only")
    # unless its end is another text, which the network alone predicts better
    end = "".join(random.Random(1).choices("ab", k=400))
    write_files(workplace, {"ends.txt": "ab" * 800 + end})
    run = train("data.input_txt=ends.txt", "trainer.max_steps=3", "logger=csv", folder="ends")
    model, result = charrnn.load(run), read_result(run)
    assert result is not None
    assert (model.trained.counts, result.loss) == (None, result.network_loss)


def test_another_text_is_counted_first_if_it_helps(
    train: Train, texts: Path, capfd: Capture
) -> None:
    """Check that the network and its loss are the same, and that a resume counts the same."""
    plain = train(*OPTIONS, folder="plain")
    noise = train("data.background=noise.txt", *OPTIONS, folder="noise")
    assert "does not help and is not counted" in capfd.readouterr().err
    assert (noise / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    run = train("data.background=[other.txt]", *OPTIONS, KEPT)
    assert "characters: is counted too" in capfd.readouterr().err
    other = (texts / "other.txt").read_text("utf-8").strip("ÄÖ")
    assert check_table(run)["background_counted"] == len(other)
    before, after = metrics(plain)[-1], metrics(run)[-1]
    losses = [float(row.pop("val/loss_as_written")) for row in (after, before)]
    assert losses[0] < losses[1]
    assert before == after
    # new_words= takes the words of both for known
    trained = charrnn.load(run).trained
    known, words = trained.counts.words, {*other.split()}
    assert not known.counts.all()
    assert not words <= {*(texts / "corpus.txt").read_text("utf-8").split()}
    for word in words:
        node = 0
        for id_ in trained.vocabulary.encode(word).tolist():
            node = known.extend(id_, node)
        assert known.trie.find(node, 0)
    check_resume(train, run)
    # but for another text, or a text that is another by now
    assert "data.background=" in refusal_of(capfd, *RESUME, "data.background=noise.txt")
    write_files(texts, {"other.txt": "the cat"})
    assert "restore it to resume" in refusal_of(capfd, *RESUME, "trainer.max_steps=25")


def test_the_limit_cuts_the_background(train: Train, texts: Path) -> None:
    size = len(draw_words(400, 1))
    own = size - 2 * int(0.1 * size)
    other = ("data.background=other.txt", "trainer.max_steps=2", "validate_every=2")
    run = train(*other, f"callbacks.counts.characters={own + 12_000}")
    assert check_table(run)["background_counted"] == 12_000
    run = train(*other, "callbacks.counts.characters=99", folder="cut")
    assert "background" not in model_file.read_facts(run / "model.safetensors")


def test_held_out_passages_of_a_background_are_not_counted() -> None:
    """Check a background that contains the text, or parts of it."""
    draws = np.random.default_rng(1)
    other, ids = draws.integers(0, 3, 300), draws.integers(0, 3, 900)
    ids[100:200], ids[500:540], ids[850:881] = other[:100], other[200:240], other[:31]
    shared = {tuple(other[i : i + PASSAGE]) for i in range(len(other) - PASSAGE + 1)}
    kept = np.ones(len(ids), bool)
    for i in range(len(ids) - PASSAGE + 1):
        if tuple(ids[i : i + PASSAGE]) in shared:
            kept[i : i + PASSAGE] = False
    assert 0 < 900 - kept.sum() < 160
    np.testing.assert_array_equal(remove_shared_passages(ids, other), ids[kept])
    np.testing.assert_array_equal(remove_shared_passages(ids, other[:31]), ids)


def test_a_background_is_read_as_a_text_to_train_on_is(texts: Path) -> None:
    write_files(texts, {"folder/below/1.txt": "a mat", "folder/2.md": "the cat"})
    write_files(texts, {"cache/corpora/shakespeare.txt": "ROMEO: it sat"})
    names = ["folder", "folder/*.md", "shakespeare"]
    background = Background(names, "utf-8", Vocabulary(list("themasionc ")))
    assert background.vocabulary.decode(background.read_ids(99)) == "a matthe cat it sat"
    assert len(background.read_ids(4)) == 4


def test_the_text_of_the_model_that_it_starts_from(train: Train, texts: Path) -> None:
    """Check a background that the model was trained on; a resume needs no model."""
    base = train("data.input_txt=other.txt", *OPTIONS, folder="base")
    run = train("init_from=base", *OPTIONS, KEPT)
    facts = model_file.load(run / "model.safetensors").facts
    assert Path(facts["background"]).name.startswith("other-")
    shutil.rmtree(base)
    check_resume(train, run)
    # a model may name any place, but only what it knows the fingerprint of is read
    assert find_training_data(facts) is not None
    for changed in ({"fingerprint": "0" * 64}, {"input_h5": facts["background"]}):
        assert find_training_data({**facts, **changed}) is None
