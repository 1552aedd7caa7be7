"""An interrupted and resumed run equals the run that was never interrupted, to the bit."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.files import acquire_lock
from tests.small_runs import SMALL, Capture, Train, assert_same, metrics, skip_without_bf16, tensors
from tests.training import launches

EPOCHS, WINDOWS = 4, 3
STEPS = EPOCHS * WINDOWS
OPTIONS = (
    f"trainer.max_epochs={EPOCHS}", "trainer.max_steps=-1", "data.shuffle=true",
    "model.dropout=0.25", "model.hidden_size=4", "model.embedding_size=2",
    # epochs end with and without a validation
    "validate_every=2", "checkpoint_every=1", "callbacks.checkpoints.keep_every=1",
    "callbacks.samples.length=0", "print_every=1", "logger=csv",
)  # fmt: skip
IN_STEPS = (f"trainer.max_steps={STEPS}", "trainer.max_epochs=null")
IN_GROUPS = ("+trainer.accumulate_grad_batches=2", "data.seq_length=5")
BF16 = "trainer.precision=bf16-mixed"
THREADS = ("data.batch_size=24", "data.seq_length=2", "threads=2", *IN_STEPS)
CASES = {
    "lstm, step": ("schedule.decay_every=1", *IN_STEPS),
    "gru, average": ("model=gru", "callbacks=ema", "callbacks.ema.decay=0.9", "seed=null",
                     *IN_GROUPS),
    "lstm, bf16, muon, threads": (BF16, "optimizer=muon", *THREADS),
}  # fmt: skip
SLOW = {
    "lstm, in order": ("data.shuffle=false", "schedule=cosine"),
    "gru, constant, bf16": ("model=gru", "schedule=constant", BF16),
    "rnn, rmsprop": ("model=rnn", "optimizer=rmsprop", *IN_GROUPS),
    "gru, batchnorm": ("model=gru", "model.batchnorm=true"),
    "lstm, muon, warmup": ("optimizer=muon", "schedule=constant", "schedule.warmup_steps=9"),
    "two processes": ("threads=1", "seed=null"),
}
# A wrong count after a cut on an epoch's last step shows only when the run is resumed again.
EPOCH_ENDS = [WINDOWS, 2 * WINDOWS]
WORDS = random.Random(1).choices(["the", "cat", "sat", "on", "a", "mat.\n"], k=200)
SHORT_TEXT = " ".join(WORDS)[:200]  # three steps an epoch


def copy_killed_run(run: Path, step: int) -> Path:
    """Return a copy of a run as if it had been killed right after the checkpoint of a step.

    The model and the rows of later steps are still there. The resumed run replaces them.
    """
    part = Path(shutil.copytree(run, Path(tempfile.mkdtemp(dir=run.parent)) / "part"))
    (part / "checkpoints" / f"step-{step}.ckpt").rename(part / "checkpoints" / "last.ckpt")
    for path in part.glob("checkpoints/step-*.ckpt"):
        path.unlink()
    return part


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_resumed_is_uninterrupted(train: Any, case: str) -> None:
    """test_lightning.py has more chains of cuts, without the command line."""
    if "two processes" in case:
        train = launches.train
    skip_without_bf16("bf16-mixed" if "bf16" in case else "", case.split(",")[0])
    Path("corpus.txt").write_text(SHORT_TEXT)
    train(*OPTIONS, *{**CASES, **SLOW}[case], folder="whole")
    whole = Path("whole").absolute()
    assert tensors(whole)["step"] == STEPS
    dice = random.Random(case)
    chains = [set(dice.sample(range(1, STEPS), 2)) for _ in range(3 if case in SLOW else 0)]
    third = dice.choice([step for step in range(2 * WINDOWS, STEPS) if step % WINDOWS])
    for cuts in [{*EPOCH_ENDS, third}, *chains]:
        part = whole
        for step in sorted(cuts):
            part = copy_killed_run(part, step)
            train(f"resume={part}", small=False)
        for name in ("last.ckpt", "best.ckpt"):
            assert_same(tensors(part, name), tensors(whole, name), f"{cuts}, {name}")
        assert metrics(part) == metrics(whole), cuts


def test_a_finished_run_stays_as_it_is(train: Train, workplace: Path, capfd: Capture) -> None:
    run = train("trainer.max_steps=5")
    before, config = tensors(run), (run / ".hydra" / "config.yaml").read_bytes()
    resume, new = f"resume={run}", "hydra.run.dir=new"

    def says(line: str, *words: str, code: int = 2) -> None:
        capfd.readouterr()
        assert main(["train", *words]) == code
        assert line in capfd.readouterr().err
        assert (run / ".hydra" / "config.yaml").read_bytes() == config
        assert not (workplace / "new").exists()

    says("finished, at step 5", "corpus.txt", resume, code=0)
    says("at step 5; to continue it", resume + "/checkpoints/last.ckpt", new, code=0)
    says("at step 5 already", resume, "trainer.max_steps=3")
    says("seed=3: a resume cannot change it", resume, "seed=3")
    says("holds a run already", *SMALL, "hydra.run.dir=run", "trainer.max_steps=6")
    held = acquire_lock(run / ".lock", wait=False)
    assert held is not None
    with held:
        says("another charrnn (process", resume, "trainer.max_steps=19")
    text = (workplace / "corpus.txt").read_text("utf-8")
    (workplace / "corpus.txt").write_text(text.replace("cat", "act", 1), encoding="utf-8")
    says("corpus.txt: the data is not what", resume, "trainer.max_steps=9")
    assert_same(tensors(run), before)
    # without its checkpoints it is a run still
    shutil.rmtree(run / "checkpoints")
    says("holds a run already", *SMALL, "hydra.run.dir=run", "model=gru")
