"""Runs that are killed and resumed, in short; `make faults` is the long form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from charrnn.models import checkpoint
from tests.faults.child import Fault, fail
from tests.faults.runs import Broken, differences, go_on, run, start, write_corpus


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_corpus(tmp_path)
    return tmp_path


KILLED = [
    ("metrics", "half", 2),
    ("export", "replaced", 1),  # the model file is newer than all checkpoints
    ("checkpoint", "half", 1),
    ("checkpoint", "replaced", 1),  # best.ckpt is, and there is no last.ckpt
]
KILLED_SLOW = [
    ("start", "record", 1),
    ("validation", "loss", 1),
    *KILLED,
    ("start", "read", 1),
    ("sample", "half", 2),
    ("step", "backward", 2),
    ("checkpoint", "sync", 3),
    ("export", "half", 2),
]


@pytest.mark.parametrize("kills", [KILLED, pytest.param(KILLED_SLOW, marks=pytest.mark.slow)])
def test_killed_in_every_phase_nothing_is_lost(
    place: Path, kills: list[tuple[str, str, int]]
) -> None:
    steps = "trainer.max_steps=50" if kills is KILLED_SLOW else "trainer.max_steps=20"
    overrides = ("schedule.decay_every=1", "callbacks.checkpoints.keep_every=10", steps)
    run(start("whole", *overrides), place)
    broken = Broken(place, "broken", overrides)
    for phase, point, count in kills:
        assert broken.kill_at(phase, point, count), (phase, point, count)
    if kills is KILLED_SLOW:
        broken.kill_sometime()
    broken.finish()
    assert differences(place / "whole", place / "broken") == []


def test_an_exception_inside_a_step(place: Path) -> None:
    """Its own words and a traceback, since it is no fault of the user's; and nothing is lost."""
    overrides = ("model=gru", "schedule=cosine", "trainer.max_steps=20")
    run(start("whole", *overrides), place)
    run(start("broken", *overrides), place, Fault("step", "backward", 10, fail), code=1)
    log = (place / "log.txt").read_text()
    assert "RuntimeError: an injected fault" in log
    assert checkpoint.read(place / "broken" / "checkpoints" / "last.ckpt")["global_step"] == 7
    run(go_on(place, "broken"), place)
    assert differences(place / "whole", place / "broken") == []


def test_a_difference_would_be_found(place: Path) -> None:
    """The comparison itself: with other random numbers in one step it is another run."""
    run(start("whole", "trainer.max_steps=14"), place)
    run(start("other", "trainer.max_steps=14"), place, Fault("step", "forward", 9, _reseed))
    lost = differences(place / "whole", place / "other")
    assert {"weights", "optimizer", "metrics.csv", "model file", "TensorBoard"} <= set(lost)


def _reseed() -> None:
    torch.manual_seed(7)
