"""A training run through the command line: what it leaves, what it says, what it must not touch."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import charrnn
from charrnn.__main__ import main
from charrnn.data import open_data
from charrnn.errors import Interrupted
from charrnn.models import checkpoint, model_file
from tests.small_runs import SMALL, Capture, Train, assert_same, metrics, tensors


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
    samples = sorted(p.name for p in (run / "samples").iterdir())
    assert samples == [f"step-{s:07d}.txt" for s in (7, 14, 21, 28, 30)]
    assert len(charrnn.load(run).generate(length=50, seed=1)) == 50

    events = EventAccumulator(str(run)).Reload()
    norms = events.Scalars("vitals/grad_norm")
    assert [event.step for event in norms] == [1, 5, 10, 15, 20, 25, 30]
    assert min(event.value for event in norms) > 1e-3  # as they were before clipping
    assert {e.step for e in events.Scalars("val/loss")} >= {7, 14, 21, 28, 30}
    names = {"val/best_loss", "val/best_loss_as_written", "train/loss", "val/loss"}
    names |= {"val/loss_as_written"}
    names |= {"val/bits_per_character", "vitals/lr", "vitals/characters_per_second"}
    assert {*events.Tags()["scalars"]} == names | {"vitals/epoch", "vitals/grad_norm"}
    assert {e.step for e in events.Tensors("sample/text_summary")} == {7, 14, 21, 28, 30}
    config = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "hidden_size: 16" in config


def test_without_a_text_the_first_line_says_so(
    train: Train, workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    (workplace / "cache" / "corpora").mkdir(parents=True)
    shutil.copy(workplace / "corpus.txt", workplace / "cache" / "corpora" / "shakespeare.txt")
    line = "no text was given, so the corpus is shakespeare; yours: charrnn train my.txt\n"
    words = [word for word in SMALL if not word.startswith("data.input_txt=")]
    train(*words, "trainer.max_steps=1", small=False)
    assert capfd.readouterr().err.startswith(line)
    train("resume=run", "trainer.max_steps=2", small=False)
    assert "no text was given" not in capfd.readouterr().err


@pytest.mark.parametrize("averages", [(), ("callbacks=ema", "callbacks.ema.decay=0.5")])
def test_the_best_validation_is_that_of_the_exported_model(
    run_cache: Train, averages: tuple[str, ...]
) -> None:
    run = run_cache("trainer.max_steps=23", *averages)
    best = min((float(r["val/loss"]), int(r["step"])) for r in metrics(run) if r["val/loss"])
    facts = model_file.load(run / "model.safetensors").facts
    assert (facts["val_loss"], facts["step"]) == best
    data = open_data(Path(facts["input_h5"]), Path(facts["input_json"]))
    text = charrnn.load(run).vocabulary.decode(data.get_split("val")[:])
    assert abs(charrnn.load(run).score(text, counts="none") - best[0]) < 1e-5
    assert facts["primer"] in text
    del facts["val_loss_as_written"], facts["with_counts"]  # of counts that no checkpoint has
    assert charrnn.load(run / "checkpoints" / "best.ckpt").trained.facts == facts
    content = checkpoint.read(run / "checkpoints" / "best.ckpt")
    trained = content.get("current_model_state", content["state_dict"])
    same = [torch.equal(trained[name], w) for name, w in content["state_dict"].items()]
    assert all(same) == (not averages)


def test_looking_changes_nothing(train: Train) -> None:
    """Check that without validation the last weights are exported."""
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


@pytest.mark.parametrize(
    ("text", "overrides"),
    [(None, ("data.val_frac=0",)), ("tiny corpus", ("threads=2", "data.batch_size=32"))],
)
def test_a_text_of_any_length_trains_or_is_refused(
    train: Train, workplace: Path, text: str | None, overrides: tuple[str, ...],
    capfd: Capture
) -> None:  # fmt: skip
    if text:
        (workplace / "corpus.txt").write_text(text)
    run = train("trainer.max_steps=2", *overrides)
    assert (run / "model.safetensors").is_file()
    assert ("little text: data.batch_size is 1 and" in capfd.readouterr().err) == bool(text)


def test_one_batch_to_see_that_everything_runs(train: Train) -> None:
    assert not (train("debug=fast") / "checkpoints").exists()


def test_early_stopping(train: Train, capfd: Capture) -> None:
    """Check early stopping of any name; with more patience a stopped run continues."""
    stop = "+callbacks.stop={_target_:charrnn.training.EarlyStopping,min_delta:100,patience:%d}"
    run = train(stop % 2, "trainer.max_steps=100", "validate_every=3")
    # the first validation is better than none, the next two are not better by 100
    assert tensors(run)["step"] == 9
    assert capfd.readouterr().err.count("stopping: val/loss has not decreased") == 1
    again = ("+callbacks.stop._target_=charrnn.training.EarlyStopping",)
    train(f"resume={run}", *again, small=False)
    assert "finished" in capfd.readouterr().err
    train(f"resume={run}", *again, "+callbacks.stop.patience=4", small=False)
    assert tensors(run)["step"] == 15


# -- from a model ------------------------------------------------------------------------


def test_init_from_with_other_characters(train: Train, run_cache: Train, workplace: Path) -> None:
    """Check that rows of known characters are the model's, and that those of new ones are drawn."""
    base = run_cache("trainer.max_steps=5")
    text = (workplace / "corpus.txt").read_text("utf-8")[::-1]
    text = text.replace("Z", "ß").replace("was", "ßas").replace("tac", "taK")
    (workplace / "corpus.txt").write_text(text, encoding="utf-8")
    # so small a rate that the weights stay those of the start
    few = ("trainer.max_steps=1", "optimizer.lr=1e-12", "validate_every=0")
    tuned = train(*few, f"init_from={base}/checkpoints/last.ckpt", folder="tuned")
    fresh = train(*few, folder="fresh")
    model, parent, anew = (charrnn.load(run) for run in (tuned, base, fresh))
    theirs = parent.vocabulary.characters
    common = set(model.vocabulary.characters) & set(theirs)
    assert set(model.vocabulary.characters) - common == {"ß", "K"}
    assert len(theirs) > len(common)
    for name, weight in model.trained.weights.items():
        if name not in ("embedding.weight", "decoder.weight", "decoder.bias"):
            np.testing.assert_allclose(weight, parent.trained.weights[name], atol=1e-9)
            continue
        for row, character in enumerate(model.vocabulary.characters):
            is_known = character in theirs
            source = (parent if is_known else anew).trained.weights[name]
            np.testing.assert_allclose(
                weight[row], source[theirs.index(character) if is_known else row], atol=1e-9
            )


def test_a_run_refuses_what_it_cannot_train(
    train: Train, run_cache: Train, workplace: Path, capfd: Capture
) -> None:
    base = run_cache("trainer.max_steps=5")
    for words, line in (
        (["model.batchnorm=true", "data.batch_size=1", "data.seq_length=1"], "model.batchnorm"),
        ([f"init_from={base}", "model.hidden_size=17"], "model.hidden_size=17"),
    ):
        capfd.readouterr()
        train(*words, "trainer.max_steps=1", folder="refused", code=2)
        assert line in capfd.readouterr().err.splitlines()[-1]
        assert not (workplace / "refused" / ".hydra").exists()


# -- names -------------------------------------------------------------------------------

RED = "red\x1b[31m"


def test_a_text_and_a_folder_with_odd_names(
    train: Train, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Check a batch job, too, in which srun did not start this process."""
    monkeypatch.setenv("SLURM_JOB_ID", "twelve")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    text, folder = r"${x}\${oc.env:HOME}'" + os.fsdecode(b"Z\xfcrich") + RED + ".txt", RED
    try:
        (workplace / "corpus.txt").rename(workplace / text)
    except OSError:  # where names are Unicode
        text = text.replace(os.fsdecode(b"\xfc"), "ü")
        (workplace / "corpus.txt").rename(workplace / text)
    whole = [*SMALL, f"data.input_txt={text}"]
    run = train(*whole, "trainer.max_steps=3", folder=folder, small=False)
    train(f"resume={folder}", "trainer.max_steps=5", small=False)
    assert metrics(run)[-1]["step"] == "5"
    assert main(["runs", "folder=."]) == 0
    assert main(["train", *whole, f"hydra.run.dir={folder}"]) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    "absurd", [("optimizer=sgd", "optimizer.lr=1e30"), ("optimizer.lr=1e38", "checkpoint_every=3")]
)
def test_a_training_that_diverges_is_named_and_never_saved(
    train: Train, absurd: tuple[str, ...], capfd: Capture
) -> None:
    """Check that it is no success, and that torch's threads stay the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    run = train(*absurd, "trainer.max_steps=40", code=1)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(threads)
    err = capfd.readouterr().err
    assert re.search(r"training diverged.* step \d+ .*optimizer\.lr", err.splitlines()[-1])
    assert "Traceback" not in err
    assert not (run / "model.safetensors").exists()
    for path in (run / "checkpoints").glob("*.ckpt"):
        weights = checkpoint.read(path)["state_dict"].values()
        assert all(torch.isfinite(w).all() for w in weights)


def test_a_resume_continues_with_the_new_weight_decay(train: Train) -> None:
    run = train("trainer.max_steps=3")
    train("resume=run", "trainer.max_steps=5", "optimizer.weight_decay=0.25")
    (optimizer,) = tensors(run)["optimizer"]
    assert {group["weight_decay"] for group in optimizer["param_groups"]} == {0.25}


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
