"""Other texts counted beside the training text: which, how many, when, and whose."""

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
from charrnn.text.background import PASSAGE, Background, remove_shared_passages
from charrnn.text.vocabulary import Vocabulary
from tests.attacks.conftest import tamper
from tests.conftest import write_files
from tests.generation.models import count_passages
from tests.small_runs import Capture, Train, metrics
from tests.tools import refusal_of

OPTIONS = ("trainer.max_steps=20", "validate_every=10", "callbacks.samples.length=0")
RESUME = ("train", "resume=run")
LETTERS = "abcdefghij "


def words(count: int, seed: int) -> str:
    """Draw from two hundred words, most of which are rare in a short text."""
    draws, language = random.Random(seed), random.Random(0)
    words = ["".join(language.choices(LETTERS[:-1], k=6)) for _ in range(200)]
    return " ".join(draws.choices(words, k=count))


@pytest.fixture
def texts(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a short text, a long one of the same words with other characters in it, and noise."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    (workplace / "corpus.txt").write_text(words(400, 1), encoding="utf-8")
    (workplace / "other.txt").write_text(f"Ä{words(5000, 2)}Ö", encoding="utf-8")
    noise = random.Random(3).choices(LETTERS, k=9000)
    (workplace / "noise.txt").write_text("".join(noise))
    return workplace


def read_counts(run: Path) -> tuple[Any, dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Return the table of a run's model, its facts about it, and the table by definition."""
    trained = model_file.load(run / "model.safetensors")
    assert trained.counts is not None
    data = open_training_data(trained.facts)
    names = str(trained.facts.get("background", "")).split(", ")
    text = "".join(Path(name).read_text("utf-8") for name in names if name.endswith(".txt"))
    other = trained.vocabulary.look_up(text)
    other = other[other >= 0][: trained.facts.get("background_counted")]
    ids = np.concatenate([other, data.get_split("train")[:]])
    table = count_passages(ids, len(trained.vocabulary), trained.counts.table.context)
    return trained.counts.table.to_arrays(), trained.facts, table.to_arrays()


def resume_from_step_10(train: Train, run: Path) -> None:
    point = run / "checkpoints" / "step-10.ckpt"
    point.rename(point.with_name("last.ckpt"))
    train("resume=run", small=False)


def test_a_text_that_helps_is_counted_first(train: Train, texts: Path, capfd: Capture) -> None:
    """Check that the network and its loss are the same, and that a resume counts the same."""
    plain = train(*OPTIONS, folder="plain")
    noise = train("data.background=noise.txt", *OPTIONS, folder="noise")
    assert "does not help and is not counted" in capfd.readouterr().err
    assert (noise / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    options = (*OPTIONS, "callbacks.checkpoints.keep_every=10")
    run = train("data.background=[other.txt]", *options)
    assert "characters: is counted too" in capfd.readouterr().err
    table, facts, expected = read_counts(run)
    np.testing.assert_equal(table, expected)
    assert facts["background_counted"] == len((texts / "other.txt").read_text("utf-8")) - 2
    before, after = metrics(plain)[-1], metrics(run)[-1]
    losses = [float(row.pop("val/loss_as_written")) for row in (after, before)]
    assert losses[0] < losses[1]
    assert before == after
    check_that_both_texts_are_known(run, texts)
    whole = (run / "model.safetensors").read_bytes()
    resume_from_step_10(train, run)
    assert (run / "model.safetensors").read_bytes() == whole
    # but for another text, or a text that is another by now
    assert "data.background=" in refusal_of(capfd, *RESUME, "data.background=noise.txt")
    (texts / "other.txt").write_text("the cat")
    assert "restore it to resume" in refusal_of(capfd, *RESUME, "trainer.max_steps=25")


def check_that_both_texts_are_known(run: Path, texts: Path) -> None:
    """Check the words and pairs that new_words= takes for known."""
    trained = charrnn.load(run).trained
    known = trained.counts.words
    assert not known.counts.all()
    words = {*(texts / "other.txt").read_text("utf-8").strip("ÄÖ").split()}
    assert not words <= {*(texts / "corpus.txt").read_text("utf-8").split()}
    for word in words:
        nodes = known.find_nodes(trained.vocabulary.encode(word)[None], np.zeros(1, np.int32))
        assert nodes[0, -1] in known.ends


def test_the_limit_cuts_the_background(train: Train, texts: Path) -> None:
    size = len(words(400, 1))
    own = size - 2 * int(0.1 * size)
    limit = f"callbacks.counts.characters={own + 12_000}"
    other = ("data.background=other.txt", "trainer.max_steps=2", "validate_every=2")
    table, facts, expected = read_counts(train(*other, limit))
    np.testing.assert_equal(table, expected)
    assert facts["background_counted"] == 12_000
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
    for few in (other[:31], other[:0]):
        np.testing.assert_array_equal(remove_shared_passages(ids, few), ids)
        np.testing.assert_array_equal(remove_shared_passages(few, other), few)


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
    options = ("init_from=base", *OPTIONS, "callbacks.checkpoints.keep_every=10")
    run = train(*options)
    assert read_counts(run)[1]["background"].endswith("other.h5")
    whole = (run / "model.safetensors").read_bytes()
    shutil.rmtree(base)
    resume_from_step_10(train, run)
    assert (run / "model.safetensors").read_bytes() == whole
    # a model may name any place, but only what it knows the fingerprint of is read
    facts = model_file.load(run / "model.safetensors").facts
    assert find_training_data(facts) is not None
    assert find_training_data({**facts, "fingerprint": "0" * 64}) is None
    assert find_training_data({**facts, "input_h5": str(texts / "other.h5")}) is None
    assert find_training_data({}) is None
    for h5 in texts.glob("corpus.*5"):
        h5.unlink()
    new = train("init_from=run", "data.input_txt=noise.txt", *OPTIONS, folder="new")
    assert not model_file.load(new / "model.safetensors").facts.get("background")


def test_a_record_names_no_text_of_a_stranger(train: Train, texts: Path, capfd: Capture) -> None:
    """Name a file as a stranger's record could, to get it counted into a model."""
    run = train(*OPTIONS, "trainer.max_steps=3")
    secret = [str(texts / "other.txt")]
    tamper(run, "config.data.background", secret)
    assert "is not what" in refusal_of(capfd, *RESUME, "trainer.max_steps=9")
