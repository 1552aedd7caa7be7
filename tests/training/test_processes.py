"""Several processes: the same training as one, exact resumes, and an end for all when one ends.

The command is rank 0, and the other ranks follow it in the same way, whether charrnn, torchrun or
srun has started them.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from charrnn.models import checkpoint
from charrnn.training.restoring import select_rank_state
from tests import REPOSITORY
from tests.small_runs import SMALL, Capture, Train, assert_same, column, metrics, tensors

SMALL_DDP = ("trainer=ddp", *SMALL[1:])
LONG = ("trainer.max_steps=100000", "checkpoint_every=50", "logger=csv")
END = "trainer.max_steps=160"
LOST = "the run is saved; to resume it: charrnn train resume=run"


@contextlib.contextmanager
def running(
    *words: str, program: tuple[str, ...] = (), until: str = "step 105 /"
) -> Iterator[tuple[Any, list[int]]]:
    """Start `charrnn train` with SMALL_DDP. Yield it at about step 105, with the ids of its ranks.

    Its steps have no end, so that it is still running. Its ranks are the command and its children,
    or the children of another program that starts them.
    """
    command = [*(program or (sys.executable, "-m", "charrnn")), "train", *SMALL_DDP, *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True
    )
    assert process.stderr is not None
    ranks: list[int] = []
    try:
        for line in process.stderr:
            if "step 1 /" in line:
                ranks = [*([] if program else [process.pid]), *children(process.pid)]
            if until in line:
                break
        assert len(ranks) == 2
        yield process, ranks
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def children(parent: int) -> list[int]:
    """Return the processes that it has started, in this order."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
    found = [map(int, line.split()) for line in listed.stdout.splitlines()]
    return sorted(pid for pid, ppid in found if ppid == parent)


def test_two_processes_train_as_one_does(train: Train, workplace: Path, capfd: Capture) -> None:
    wanted = ["trainer.max_steps=40", "print_every=1", "callbacks.checkpoints.keep_every=20"]
    one = train(*wanted, folder="one")
    capfd.readouterr()
    beside = set(os.listdir(workplace))
    two = train(*wanted, "trainer.devices=2", folder="two")
    out, err = capfd.readouterr()

    assert len(checkpoint.read(two / "checkpoints" / "last.ckpt")[checkpoint.ENTRY]["ranks"]) == 2
    for name in ("train/loss", "val/loss", "val/loss_as_written"):
        assert column(two, name) == pytest.approx(column(one, name), abs=1e-4)
    assert len(metrics(one)) == len(metrics(two))

    # the second rank neither speaks nor leaves anything behind
    assert out == ""
    assert "device: CPU, 1 thread, 2 processes, precision 32-true" in err
    assert err.count("step 20 /") == err.count("best model, of step") == 1
    assert set(os.listdir(workplace)) == beside | {"two"}
    names = ({path.name.partition("tfevents")[0] for path in run.iterdir()} for run in (one, two))
    assert next(names) == next(names)

    # without dropout, others may go on from there
    point = two / "checkpoints" / "step-20.ckpt"
    there = [f"resume={point}", "hydra.run.dir=back"]
    train(*there, "trainer.devices=1", "model.dropout=0.2", small=False, code=2)
    assert "was trained with 2 process(es)" in capfd.readouterr().err
    train(*there, "trainer.devices=1", small=False)
    rest = {step: loss for step, loss in column(one, "train/loss").items() if step > 20}
    assert column(workplace / "back", "train/loss") == pytest.approx(rest, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_at_the_same_step(workplace: Path, signum: signal.Signals) -> None:
    with running(*LONG, "hydra.run.dir=run") as (process, _):
        send = os.killpg if signum == signal.SIGINT else os.kill  # to all, as a terminal does
        send(process.pid, signum)
        said = process.stderr.read()
        assert process.wait() == 128 + signum, said
    match = re.search(rf"charrnn train: stopped after step (\d+); {LOST}\n$", said)
    assert match is not None, said
    assert f"{signum.name}: saving the run" in said
    assert tensors(workplace / "run")["step"] == int(match[1])


class Slow(Callback):
    """Makes the last validation of rank 1 slow."""

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_step == 30 and trainer.global_rank == 1:
            print("rank 1 is slow", file=sys.stderr, flush=True)
            pl_module.network.register_forward_hook(lambda *_: time.sleep(3))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_signal_in_the_last_validation_stops_all(workplace: Path, victim: int) -> None:
    """Stop rank 0 when it waits for rank 1. test_faults.py resumes from such a stop."""
    wanted = [f"+callbacks.slow._target_={__name__}.Slow", "trainer.max_steps=30"]
    with running(*wanted, "hydra.run.dir=run", until="rank 1 is slow") as (process, ranks):
        time.sleep(1)
        sent = time.monotonic()
        os.kill(ranks[victim], signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait() == 143, said
    assert time.monotonic() - sent < 8
    assert "stopped in the validation after step 30" in said
    assert tensors(workplace / "run")["best"][1] < 30


def test_several_processes_refuse_what_they_cannot_split(train: Train, capfd: Capture) -> None:
    for option in ("data.batch_size=5", "model.batchnorm=true", "trainer.num_nodes=2"):
        train("trainer.devices=2", option, code=2)
        assert capfd.readouterr().err.startswith(f"charrnn train: {option}: ")
    train("trainer.devices=3", "data.batch_size=3", "data.seq_length=500", code=2)
    assert "has text for 1 stream(s) of data.seq_length=500" in capfd.readouterr().err
    assert not Path("run").exists()


class Faulty(Callback):
    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        assert trainer.global_rank == 0, "an injected fault"


@pytest.mark.slow
def test_a_fault_of_one_rank_is_the_last_line(train: Train, capfd: Capture) -> None:
    train(f"+callbacks.own._target_={__name__}.Faulty", "trainer.devices=2", code=1)
    line = capfd.readouterr().err.splitlines()[-1]
    raised = "Faulty raised AssertionError: an injected fault"
    assert f"rank 1: callbacks.own: {__name__}.{raised}; there is no checkpoint" in line


class Stuck(Callback):
    """Never lets one of the ranks begin step 107, where the environment names it."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 106 and os.environ.get("STUCK") == str(trainer.global_rank):
            time.sleep(600)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_run_and_the_resume_is_exact(
    train: Train, workplace: Path, monkeypatch: pytest.MonkeyPatch, victim: int
) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25", f"+callbacks.stuck._target_={__name__}.Stuck"]
    whole = train(*wanted, END, "trainer.devices=2", folder="whole")
    monkeypatch.setenv("STUCK", str(1 - victim))
    with running(*LONG, *wanted, "hydra.run.dir=run") as (process, ranks):
        time.sleep(1)
        os.kill(ranks[victim], signal.SIGKILL)
        killed = time.monotonic()
        said = process.stderr.read()  # until both have ended
        assert time.monotonic() - killed < 10
        assert process.wait() == (1 if victim else -signal.SIGKILL)
    line = f"charrnn train: rank 1 (process {ranks[1]}) was killed by SIGKILL; {LOST} trust=true\n"
    assert said == (line if victim else "")
    run = workplace / "run"
    assert tensors(run)["step"] == 100  # not saved again
    monkeypatch.delenv("STUCK")
    train(f"resume={run}", END, "trust=true", small=False)
    assert_same(tensors(run), tensors(whole))
    assert metrics(run) == metrics(whole)


@pytest.mark.slow
def test_a_restart_by_torchrun_is_exact(train: Train, workplace: Path) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25", "trainer.max_steps=1500"]
    whole = train(*wanted, "trainer.devices=2", folder="whole")
    torchrun = "-m torch.distributed.run --standalone --nproc-per-node=2 --max-restarts=1"
    program = (sys.executable, *torchrun.split(), "-m", "charrnn")
    with running(*wanted, "hydra.run.dir=run", "resume=auto", program=program) as (process, ranks):
        os.kill(ranks[1], signal.SIGKILL)
        said = process.stderr.read()
        assert process.wait() == 0, said
    assert "resuming from" in said
    assert_same(tensors(workplace / "run"), tensors(whole))
    assert metrics(workplace / "run") == metrics(whole)


def test_carried_state_keeps_its_rows_in_other_shares() -> None:
    rows = torch.arange(12.0).view(12, 1)

    def ranks(count: int) -> list[dict[str, Any]]:
        parts = rows.tensor_split(count)
        return [{"state": [[part, -part], [2 * part]], "cpu": i} for i, part in enumerate(parts)]

    for before, after in ((1, 2), (2, 1), (3, 2), (2, 4)):
        shares = [select_rank_state(ranks(before), rank, after)["state"] for rank in range(after)]
        assert_same(shares, [saved["state"] for saved in ranks(after)])
    assert select_rank_state(ranks(3), 2, 3)["cpu"] == 2
