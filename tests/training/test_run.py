"""A training run through the command line: what it leaves, what it says, what it must not touch."""

from __future__ import annotations

import io
import re
import signal
import sys
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import charrnn
from charrnn.data import open_training_data
from charrnn.errors import Interrupted
from charrnn.models import checkpoint, model_file
from charrnn.models.trained import BY_CHARACTER
from tests.small_runs import SMALL, Capture, Train, assert_same, column, metrics, tensors
from tests.tools import refusal_of


def test_a_run_folder(train: Train, workplace: Path, capfd: Capture) -> None:
    run = train("trainer.max_steps=30", "trainer.gradient_clip_val=1e-3")
    out, err = capfd.readouterr()
    assert out == ""
    for name in (".hydra/config.yaml", ".hydra/overrides.yaml", "checkpoints/last.ckpt",
                 "checkpoints/best.ckpt", "model.safetensors"):  # fmt: skip
        assert (run / name).is_file(), name
    assert (workplace / "outputs" / "latest").resolve() == run
    # the epochs that it reads are one number, in the same digits, from the first to the last line
    assert re.search(r"streams: .*, 20 steps an epoch, 1\.50 epochs in all\n", err)
    assert "epoch 0.05 / 1.50, step 1 / 30, loss " in err
    assert "epoch 1.50 / 1.50, step 30 / 30, loss " in err
    assert "charrnn sample checkpoint=run" in err
    steps = [int(row["step"]) for row in metrics(run)]
    assert steps == [1, 5, 7, 10, 14, 15, 20, 21, 25, 28, 30]
    samples = {path.name for path in (run / "samples").iterdir()}
    assert samples == {f"step-{step:07d}.txt" for step in (7, 14, 21, 28, 30)}
    assert len(charrnn.load(run).generate(length=50, seed=1)) == 50

    events = EventAccumulator(str(run)).Reload()
    norms = events.Scalars("grad_norm")
    assert [event.step for event in norms] == [1, 5, 10, 15, 20, 25, 30]
    assert min(event.value for event in norms) > 1e-3  # as they were before clipping
    assert {e.step for e in events.Tensors("sample/text_summary")} == {7, 14, 21, 28, 30}
    assert "hidden_size: 16" in str(events.Tensors("config/text_summary")[0].tensor_proto)


@pytest.mark.parametrize("averages", [(), ("callbacks=ema", "callbacks.ema.decay=0.5")])
def test_the_exported_model_is_the_best_one(run_cache: Train, averages: tuple[str, ...]) -> None:
    run = run_cache("trainer.max_steps=23", *averages)
    losses, model = column(run, "val/loss"), charrnn.load(run)
    facts, step = model.trained.facts, min(losses, key=losses.__getitem__)
    assert (facts["val_loss"], facts["step"]) == (losses[step], step)
    data = open_training_data(facts)
    text, train = (model.vocabulary.decode(data.get_split(name)[:]) for name in ("val", "train"))
    assert model.score(text, counts="none") == pytest.approx(losses[step], abs=1e-5)
    assert facts["primer"] in text or facts["primer"] in train
    of_counts = ("val_loss_as_written", "with_counts", "counts_loss", "compared_loss")
    for name in of_counts:  # which no checkpoint has
        del facts[name]
    assert charrnn.load(run / "checkpoints" / "best.ckpt").trained.facts == facts
    content = checkpoint.read(run / "checkpoints" / "best.ckpt")
    trained = content.get("current_model_state", content["state_dict"])
    same = [torch.equal(trained[name], w) for name, w in content["state_dict"].items()]
    assert all(same) == (not averages)


def test_looking_changes_nothing(train: Train) -> None:
    options = ["trainer.max_steps=15", "model.dropout=0.3"]
    looking = {
        "never": ["validate_every=0", "print_every=1000", "logger=none",
                  "callbacks.samples.length=0"],
        "often": ["validate_every=2", "print_every=1", "checkpoint_every=1"],
    }  # fmt: skip
    found = [tensors(train(*options, *more, folder=name)) for name, more in looking.items()]
    for part in ("weights", "optimizer", "ranks"):
        assert_same(found[0][part], found[1][part], part)
    never = found[0]["weights"]
    assert_same(tensors(Path("never"), "best.ckpt")["weights"], never)
    exported = model_file.load(Path("never/model.safetensors")).weights
    assert (exported["decoder.weight"] == never["network.decoder.weight"].numpy()).all()


def test_a_text_of_any_length_trains(train: Train, workplace: Path, capfd: Capture) -> None:
    assert (train("trainer.max_steps=2", "data.val_frac=0") / "model.safetensors").is_file()
    (workplace / "corpus.txt").write_text("tiny corpus")
    train("trainer.max_steps=2", "threads=2", "data.batch_size=32", folder="tiny")
    assert "streams: 1 x " in capfd.readouterr().err


def test_early_stopping(train: Train, capfd: Capture) -> None:
    """Check that a resume cannot change the patience, but goes on without early stopping."""
    words = ["callbacks=early_stopping", "callbacks.early_stopping.min_delta=100"]
    words += ["callbacks.early_stopping.patience=2", "trainer.max_steps=20", "validate_every=3"]
    run = train(*words)
    # the first validation is better than none, the next two are not better by 100
    assert tensors(run)["step"] == 9
    train("resume=run", small=False)
    assert "finished" in capfd.readouterr().err
    patience = "callbacks.early_stopping.patience=4"
    assert f"{patience}: a resume cannot change" in refusal_of(
        capfd, "train", "resume=run", patience
    )
    train("resume=run", "callbacks=default", "trainer.max_steps=21", small=False)
    assert tensors(run)["step"] == 21


def test_init_from_with_other_characters(train: Train, run_cache: Train, workplace: Path) -> None:
    base = run_cache("trainer.max_steps=5")
    text = (workplace / "corpus.txt").read_text("utf-8")[::-1]
    text = text.replace("Z", "ß").replace("was", "ßas").replace("tac", "taK")
    (workplace / "corpus.txt").write_text(text, encoding="utf-8")
    # so small a rate that the weights stay those of the start
    few = ("trainer.max_steps=1", "optimizer.lr=1e-12", "validate_every=0")
    tuned = train(*few, f"init_from={base}/checkpoints/last.ckpt", folder="tuned")
    fresh = train(*few, folder="fresh")
    model, parent, anew = (charrnn.load(run) for run in (tuned, base, fresh))
    characters, theirs = model.vocabulary.characters, parent.vocabulary.characters
    assert {*characters} - {*theirs} == {"ß", "K"}
    assert {*theirs} - {*characters}
    for name, weight in model.trained.weights.items():
        expected, drawn = parent.trained.weights[name], anew.trained.weights[name]
        if name in BY_CHARACTER:
            rows = [(expected, theirs.index(c)) if c in theirs else (drawn, i)
                    for i, c in enumerate(characters)]  # fmt: skip
            expected = np.stack([weights[row] for weights, row in rows])
        np.testing.assert_allclose(weight, expected, atol=1e-9)


def test_a_training_that_diverges_is_never_saved(train: Train, capfd: Capture) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    run = train("optimizer.lr=1e30", "checkpoint_every=3", "trainer.max_steps=20", code=1)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(threads)
    err = capfd.readouterr().err
    assert re.search(r"training diverged.* step \d+ .*optimizer\.lr", err.splitlines()[-1])
    assert "Traceback" not in err
    assert not (run / "model.safetensors").exists()
    for path in (run / "checkpoints").glob("*.ckpt"):
        weights = checkpoint.read(path)["state_dict"].values()
        assert all(torch.isfinite(w).all() for w in weights)


COLUMNS = 80


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_and_each_validation_with_a_line_of_its_sample(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a rate at which the loss soon gets worse again
    words = ["print_every=1", "optimizer.lr=0.3", "schedule=constant", "trainer.max_steps=60"]
    words += ["callbacks=early_stopping", "callbacks.early_stopping.patience=2"]
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    run, output = train(*words), terminal.getvalue()
    bar = r"epoch \d\.\d\d / 3\.00, step \d+ / 60, loss \d\.\d{3}(, [\d:]+ left)? \|.*\|"
    bars = [line for line in re.split(r"[\r\n]+", output) if line.startswith("epoch")]
    assert any(re.fullmatch(bar, line.strip()) and len(line) < COLUMNS for line in bars), bars

    # the rest of the bar on a line is wiped before another is written there
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in output.split("\n")]
    losses = column(run, "val/loss")
    best = min(losses, key=losses.__getitem__)
    last = max(losses)
    assert best < last
    assert f"validation after step {best}: loss {losses[best]:.4f}, the best so far" in lines
    still = f"the best is {losses[best]:.4f} after step {best}"
    assert f"validation after step {last}: loss {losses[last]:.4f}, {still}" in lines
    samples = [path.read_text("utf-8") for path in sorted((run / "samples").iterdir())]
    longest = [max(sample.splitlines(), key=len).strip() for sample in samples]
    assert [line for line in lines if line.startswith("    ")] == [f"    {x[:74]}" for x in longest]


class SignalsItself(L.Callback):
    def on_train_batch_end(self, *_: object) -> None:
        signal.raise_signal(signal.SIGUSR1)


def test_a_signal_of_a_launcher_is_passed_on_after_the_run_is_saved(workplace: Path) -> None:
    received: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda signum, _: received.append(signum))
    try:
        name = f"{SignalsItself.__module__}.{SignalsItself.__qualname__}"
        with pytest.raises(Interrupted):
            charrnn.train(*SMALL, f"+callbacks.mine._target_={name}", "hydra.run.dir=run")
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert received == [signal.SIGUSR1]
    assert tensors(workplace / "run")["step"] == 1
