"""Checkpoints that are whole and hold something odd: a line that names the file, or a run."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from charrnn.__main__ import main
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from tests.models.test_checkpoint import Content, endless
from tests.refusals import ABSENT, replace_at
from tests.small_runs import SMALL, Train

HERE = Path("x.ckpt")
LOOPS = ("loops", "fit_loop")
RANK = (ENTRY, "ranks", 0)
STATE = ("optimizer_states", 0, "state", 0)


def doubling() -> list[Any]:
    value: list[Any] = ["ha"]
    for _ in range(60):
        value = [value, value]
    return value


# the place of an odd value, and the value: the first is always tried
ODD: list[tuple[tuple[Any, ...], list[Any]]] = [
    (("global_step",), [None, -1, 2**70, True]),
    (("loops",), [None, {}]),
    ((*LOOPS, "epoch_progress"), [{}, ABSENT]),
    ((*LOOPS, "epoch_progress", "total", "started"), ["x", math.nan]),
    ((*LOOPS, "epoch_loop.scheduler_progress", "total", "completed"), ["x", -1, torch.zeros(3)]),
    (("lr_schedulers", 0, "_step_count"), ["x", None]),
    (("optimizer_states",), [[{"state": {}}], [], [None], {}]),
    ((*STATE, "exp_avg"), [torch.zeros(3), ABSENT, "x"]),
    ((ENTRY, "best_loss"), ["x", torch.zeros(3), ABSENT]),
    ((ENTRY, "ranks"), [[{}], [], [None]]),
    ((*RANK, "cpu"), [torch.zeros(3, dtype=torch.uint8), ABSENT, "x"]),
    ((*RANK, "state"), [[[torch.zeros(4, 16)]], None, [[None]], endless()]),
    ((*RANK, "state", 0, 0), [torch.zeros(3, 16), torch.zeros(())]),
    ((ENTRY, "batch_size"), [5, "x", ABSENT]),
    ((ENTRY, "fingerprint"), ["x", ABSENT]),
    ((ENTRY, "finished"), ["x", None]),
    ((ENTRY, "config"), [{"data": endless()}, ABSENT, torch.zeros(3)]),
    ((ENTRY, "config", "model"), [doubling(), ABSENT, endless(), {5: 5}]),
    ((ENTRY, "config", "trainer", "max_steps"), [torch.zeros(3), endless(), {1: 2}]),
]


@pytest.fixture(params=["one of each", pytest.param("all", marks=pytest.mark.slow)])
def chosen(request: pytest.FixtureRequest) -> slice:
    """Return the values that a place may have."""
    return slice(None) if request.param == "all" else slice(1)


@pytest.fixture
def content(run_copy: Train) -> Content:
    """Train a run of 14 steps, whose checkpoint the tests change."""
    run_copy("trainer.max_steps=14", "callbacks.samples.length=0", "logger=none")
    content = checkpoint.read_run(Path("run/checkpoints/last.ckpt"))
    for rank in content[ENTRY]["ranks"]:
        rank["state"] = [list(layer) for layer in rank["state"]]
    return content


@pytest.fixture
def answers(capfd: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """Run a command; what it answers is a result, or one line."""

    def run(where: str, *words: str) -> int:
        capfd.readouterr()
        try:
            code = main(words)
        except BaseException as error:
            pytest.fail(f"{where}: {words[0]} raised {error!r}")
        err = capfd.readouterr().err
        assert code in (0, 2), f"{where}: {words[0]} ended with {code}\n{err}"
        assert "Traceback" not in err
        if code == 2:
            assert len(err.splitlines()[-1]) < 600, f"{where}: {err}"
        return code

    return run


RESUME = ("train", f"resume={HERE}", "trainer.max_steps=16", "hydra.run.dir=new")


def test_a_run_that_is_odd(content: Content, answers: Callable[..., int], chosen: slice) -> None:
    for path, values in ODD:
        for value in values[chosen]:
            where = f"{path} = {'nothing' if value is ABSENT else type(value).__name__}"
            checkpoint.write(HERE, replace_at(content, path, value))
            shutil.rmtree("new", ignore_errors=True)
            assert answers(where, *RESUME) == 2 or chosen.stop is None, where


def test_the_whole_one_goes_on(content: Content, answers: Callable[..., int]) -> None:
    """Check that every command accepts the unchanged checkpoint, and none accepts a missing one."""
    checkpoint.write(HERE, content)
    every = (
        RESUME,
        ("sample", f"checkpoint={HERE}", "length=5"),
        ("evaluate", f"checkpoint={HERE}"),
        ("train", f"init_from={HERE}", *SMALL, "trainer.max_steps=1"),
    )
    for words in every:
        assert answers("nothing", *words) == 0
    checkpoint.write(HERE, replace_at(content, (ENTRY, "architecture"), None))
    for words in every[1:]:
        assert answers("no model", *words) == 2
