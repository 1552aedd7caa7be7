"""An interrupted and resumed run is the run that was never interrupted, to the bit.

Any chain of cuts is exact if each link is: what a run resumed at a step saves at a later one has
to equal what the uninterrupted run saved there, in every entry of the checkpoint, the progress
counters of Lightning included.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.files import lock
from charrnn.models import checkpoint
from tests.small_runs import SMALL, Train, assert_same, metrics, skip_without_bf16, tensors

EPOCHS, WINDOWS = 2, 6
OPTIONS = (
    f"trainer.max_epochs={EPOCHS}", "trainer.max_steps=null", "data.shuffle=true",
    "model.dropout=0.25", "model.hidden_size=4", "model.embedding_size=2",
    # one epoch ends with a validation, two without
    "validate_every=4", "checkpoint_every=1", "callbacks.checkpoints.keep_every=1",
    "callbacks.samples.length=0", "print_every=1", "logger=csv",
)  # fmt: skip
# within an epoch, with a validation, and behind and beside epochs' last windows
CUTS = (4, 6, 7)
CUT = {"lstm, step": CUTS, "gru, an average, in groups of windows": (7,)}  # the others at 4
IN_STEPS = (f"trainer.max_steps={EPOCHS * WINDOWS}", "trainer.max_epochs=null")
BF16 = "trainer.precision=bf16-mixed"
THREADS = ("data.batch_size=24", "data.seq_length=5", "trainer.threads=2", *IN_STEPS)
CASES = {
    "lstm, step": ("schedule.decay_every=1", *IN_STEPS),
    "gru, an average, in groups of windows": (
        *("model=gru", "+trainer.accumulate_grad_batches=2", "data.seq_length=5"),
        *("callbacks=ema", "callbacks.ema.decay=0.9"),
    ),
    "lstm, bf16, muon, shared over threads": (BF16, "optimizer=muon", *THREADS),
}
SLOW = {
    "lstm, in order": ("data.shuffle=false", "schedule=cosine"),
    "lstm, shared over threads": THREADS,
    "gru, constant, bf16": ("model=gru", "schedule=constant", BF16),
    "rnn, rmsprop, in groups of windows": (
        *("model=rnn", "optimizer=rmsprop", "+trainer.accumulate_grad_batches=2"),
        "data.seq_length=5",
    ),
    "lstm, adamw, bf16, one layer": ("optimizer=adamw", BF16, "model.num_layers=1"),
    "gru, batchnorm": ("model=gru", "model.batchnorm=true"),
    "lstm, muon, warmup": ("optimizer=muon", "schedule=constant", "schedule.warmup_steps=9"),
    "two processes": ("trainer=ddp", "trainer.devices=2", "trainer.threads=1"),
}


@pytest.fixture
def short_text(workplace: Path) -> Path:
    """A text of six windows an epoch."""
    generator = random.Random(1)
    words = ["the", "cat", "sat", "on", "a", "mat.\n"]
    text = " ".join(generator.choice(words) for _ in range(200))[:312]
    (workplace / "corpus.txt").write_text(text, encoding="utf-8")
    return workplace


def kept(run: Path) -> dict[int, dict[str, Any]]:
    """The checkpoints of a run, all that is in them, by their steps."""
    found = {int(p.stem[5:]): checkpoint.read(p) for p in run.glob("checkpoints/step-*.ckpt")}
    return dict(sorted(found.items()))


def killed_at(whole: Path, step: int) -> Path:
    """A copy of a run as if it had been killed right after the checkpoint of a step.

    The model and the rows of later steps lie about, and are made again.
    """
    part = Path(shutil.copytree(whole, whole.parent / f"from-{step}"))
    (part / "checkpoints" / f"step-{step}.ckpt").rename(part / "checkpoints" / "last.ckpt")
    for path in part.glob("checkpoints/step-*.ckpt"):
        path.unlink()
    return part


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_resumed_is_uninterrupted(train: Train, short_text: Path, case: str) -> None:
    """Few cuts, each from the command line; test_lightning.py has one after each step."""
    skip_without_bf16("bf16-mixed" if "bf16" in case else "", case.split(",")[0])
    whole = train(*OPTIONS, *{**CASES, **SLOW}[case], folder="whole")
    expected = kept(whole)
    assert len(expected) >= EPOCHS * 3
    for step in CUTS if case in SLOW else CUT.get(case, (4,)):
        part = killed_at(whole, step)
        train(f"resume={part}", small=False)
        found = kept(part)
        assert list(found) == [later for later in expected if later > step]
        for later, content in found.items():
            assert_same(content, expected[later], f"from {step}, at {later}: ")
        assert_same(tensors(part, "best.ckpt"), tensors(whole, "best.ckpt"))
        assert metrics(part) == metrics(whole)
        shutil.rmtree(part)


def test_from_a_model_with_other_characters(train: Train, made: Train, workplace: Path) -> None:
    """New characters begin from the seed; a resume needs the model no more."""
    base = Path(shutil.copytree(made("trainer.max_steps=5"), workplace / "base"))
    text = (workplace / "corpus.txt").read_text("utf-8").replace("Zoë", "Jürgen")
    (workplace / "corpus.txt").write_text(text, encoding="utf-8")
    overrides = [f"init_from={base}", "model.dropout=0.25", "schedule=cosine"]
    overrides += ["trainer.max_steps=14", "callbacks.checkpoints.keep_every=9"]
    whole = train(*overrides, folder="whole")
    parts = killed_at(whole, 9)
    shutil.rmtree(base)
    train(f"resume={parts}", small=False)
    assert_same(tensors(parts), tensors(whole))
    assert metrics(parts) == metrics(whole)


def test_from_a_checkpoint_in_a_new_folder(trained: Train, train: Train, workplace: Path) -> None:
    whole = trained("trainer.max_steps=20", "callbacks.checkpoints.keep_every=8", folder="whole")
    point = whole / "checkpoints" / "step-16.ckpt"
    train(f"resume={point}", "hydra.run.dir=new", small=False)
    assert_same(tensors(workplace / "new"), tensors(whole))
    assert metrics(workplace / "new")[0]["step"] == "20"


def test_a_finished_run_stays_as_it_is(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train("trainer.max_steps=5")
    before, config = tensors(run), (run / ".hydra" / "config.yaml").read_bytes()
    last = run / "checkpoints" / "last.ckpt"

    def says(*words: str, code: int = 2) -> str:
        capfd.readouterr()
        assert main(["train", *words]) == code
        assert (run / ".hydra" / "config.yaml").read_bytes() == config
        assert_same(tensors(run), before)
        return capfd.readouterr().err

    resume = f"resume={run}"
    assert "finished, at step 5" in says(resume, code=0)
    assert "at step 5 already" in says(resume, "trainer.max_steps=3")
    for word in ("model.hidden_size=17", "data.batch_size=5", "data.seq_length=9",
                 "data.lines=shuffle", "data.val_frac=0.2", "seed=3"):  # fmt: skip
        assert f"{word}: a resume cannot change it" in says(resume, word)
    assert "holds a run already" in says(*SMALL, "hydra.run.dir=run", "trainer.max_steps=6")
    held = lock(run / ".lock", wait=False)
    assert held is not None
    with held:
        assert "another charrnn (process" in says(resume, "trainer.max_steps=19")
    new = (f"resume={last}", "hydra.run.dir=new")
    assert "this run is finished, at step 5; with a larger" in says(*new, code=0)
    assert not (workplace / "new").exists()
    text = (workplace / "corpus.txt").read_text("utf-8")
    assert "finished, at step 5" in says("corpus.txt", resume, code=0)
    (workplace / "corpus.txt").write_text(text.replace("cat", "act", 1), encoding="utf-8")
    assert "the data is not what" in says(resume, "trainer.max_steps=9")
    assert "the data is not what" in says("corpus.txt", resume)
    assert "the data is not what" in says("corpus.txt", *new)
    assert not (workplace / "new").exists()
    # without its checkpoints it is a run still
    shutil.move(run / "checkpoints", workplace / "kept")
    assert main(["train", *SMALL, "hydra.run.dir=run", "model=gru"]) == 2
    assert (run / ".hydra" / "config.yaml").read_bytes() == config
