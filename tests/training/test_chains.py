"""A resume of a resume, of any number of resumes, is the run that was never interrupted.

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

from charrnn.models import checkpoint
from tests.small_runs import Train, assert_same, metrics

EPOCHS, WINDOWS = 3, 6
OPTIONS = (
    f"trainer.max_epochs={EPOCHS}", "trainer.max_steps=null", "data.shuffle=true",
    "model.dropout=0.25", "model.hidden_size=4", "model.embedding_size=2", "model.num_layers=1",
    # one epoch ends with a validation, two without
    "validate_every=4", "checkpoint_every=1", "callbacks.checkpoints.keep_every=1",
    "callbacks.samples.length=0", "print_every=1", "logger=csv",
)  # fmt: skip
# within an epoch, with a validation, and behind and beside epochs' last windows
CUTS = (4, 6, 7)
CASES = {
    "plain": (),
    "counted in steps": (f"trainer.max_steps={EPOCHS * WINDOWS}", "trainer.max_epochs=null"),
    "in groups of windows": ("+trainer.accumulate_grad_batches=2", "data.seq_length=5"),
}  # fmt: skip


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


def resumed_at(whole: Path, step: int, train: Train) -> Path:
    """A copy of a run that was killed right after the checkpoint of a step, and resumed."""
    part = whole.parent / f"from-{step}"
    shutil.copytree(whole, part)
    (part / "checkpoints" / f"step-{step}.ckpt").rename(part / "checkpoints" / "last.ckpt")
    for path in part.glob("checkpoints/step-*.ckpt"):
        path.unlink()
    train(f"resume={part}", small=False)
    return part


def check_links(train: Train, *options: str) -> None:
    """Few cuts, each from the command line; test_lightning.py has one after each step."""
    whole = train(*OPTIONS, *options, folder="whole")
    expected = kept(whole)
    steps = list(expected)
    assert len(steps) >= EPOCHS * 3
    for step in [step for step in CUTS if step in steps[:-1]]:
        part = resumed_at(whole, step, train)
        found = kept(part)
        assert list(found) == [later for later in steps if later > step]
        for later, content in found.items():
            assert_same(content, expected[later], f"from {step}, at {later}: ")
        assert metrics(part) == metrics(whole)
        shutil.rmtree(part)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] * (case in ("plain", "counted in steps")))
        for case in CASES
    ],
)
def test_a_resumed_run_saves_what_the_uninterrupted_one_does(
    train: Train, short_text: Path, case: str
) -> None:
    check_links(train, *CASES[case])


@pytest.mark.slow
def test_so_do_two_processes(train: Train, short_text: Path) -> None:
    check_links(train, "trainer=ddp", "trainer.devices=2", "trainer.threads=1")
