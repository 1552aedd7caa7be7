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
from collections.abc import Callable, Iterator
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


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_near(one: dict[int, float], other: dict[int, float]) -> None:
    assert one.keys() == other.keys()
    assert max(abs(one[step] - other[step]) for step in one) < 1e-4


# -- one training ----------------------------------------------------------------------


def test_two_processes_train_as_one_does(train: Train, workplace: Path, capfd: Capture) -> None:
    wanted = ["trainer.max_steps=40", "print_every=1", "callbacks.checkpoints.keep_every=20"]
    one = train(*wanted, folder="one")
    capfd.readouterr()
    beside = set(os.listdir(workplace))
    two = train(*wanted, "trainer.devices=2", folder="two")
    out, err = capfd.readouterr()

    assert len(checkpoint.read(two / "checkpoints" / "last.ckpt")[checkpoint.ENTRY]["ranks"]) == 2
    for name in ("train/loss", "val/loss"):
        assert_near(column(one, name), column(two, name))
    assert len(metrics(one)) == len(metrics(two))

    # the second rank neither speaks nor leaves anything behind
    assert out == ""
    assert "device: CPU, 1 thread, 2 processes, precision 32-true" in err
    assert [line for line in err.splitlines() if ", step " in line] == [
        line for line in err.splitlines() if line.startswith("epoch ")
    ]
    assert err.count("step 20 /") == err.count("best validation loss") == 1
    assert set(os.listdir(workplace)) == beside | {"two"}
    names = ({path.name.partition("tfevents")[0] for path in run.iterdir()} for run in (one, two))
    assert next(names) == next(names)

    # without dropout, others may go on from there
    point = two / "checkpoints" / "step-20.ckpt"
    there = [f"resume={point}", "hydra.run.dir=back"]
    train(*there, "trainer.devices=1", "model.dropout=0.2", small=False, code=2)
    assert "was trained with 2 process(es)" in capfd.readouterr().err
    train(*there, "trainer.devices=1", small=False)
    whole = column(one, "train/loss")
    assert_near(column(workplace / "back", "train/loss"), {s: whole[s] for s in range(21, 41)})


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_the_resume_is_exact(
    train: Train, workplace: Path
) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25"]
    whole = train(*wanted, END, "trainer.devices=2", folder="whole")
    with running(*LONG, *wanted, "hydra.run.dir=run") as (process, ranks):
        os.kill(ranks[1], signal.SIGKILL)
        said = process.stderr.read()
        assert process.wait() == 1
    assert not any(map(is_there, ranks))
    assert said.rstrip().splitlines()[-1] == (
        f"charrnn train: rank 1 (process {ranks[1]}) was killed by SIGKILL; {LOST}"
    )
    assert said.count("charrnn train:") == 1
    assert "Traceback" not in said
    run = workplace / "run"
    assert 100 <= tensors(run)["step"] < 160
    train(f"resume={run}", END, small=False)
    assert_same(tensors(run), tensors(whole))
    assert metrics(run) == metrics(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "signum", "code"),
    [
        (os.kill, signal.SIGTERM, 143),  # to the command
        (os.killpg, signal.SIGINT, 130),  # to all, as a terminal does
    ],
)
def test_a_signal_stops_all_at_the_same_step(
    workplace: Path, send: Callable[[int, int], None], signum: signal.Signals, code: int
) -> None:
    with running(*LONG, "hydra.run.dir=run") as (process, _):
        send(process.pid, signum)
        said = process.stderr.read()
        assert process.wait() == code, said
    match = re.search(rf"charrnn train: stopped after step (\d+); {LOST}\n$", said)
    assert match is not None, said
    assert f"{signum.name}: saving the run" in said
    assert tensors(workplace / "run")["step"] == int(match[1])


class Slow(Callback):
    """Makes the last validation of rank 1 slow, where the environment says so."""

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_step == 30 and trainer.global_rank == 1 and "SLOW" in os.environ:
            print("rank 1 is slow", file=sys.stderr, flush=True)
            pl_module.network.register_forward_hook(lambda *_: time.sleep(3))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_signal_in_the_last_validation_stops_all(
    train: Train, workplace: Path, monkeypatch: pytest.MonkeyPatch, victim: int
) -> None:
    """Kill rank 0 when it waits for rank 1. The resume starts with the validation."""
    wanted = [f"+callbacks.slow._target_={__name__}.Slow"]
    wanted += ["model.dropout=0.25", "trainer.max_steps=30"]
    whole = train(*wanted, "trainer.devices=2", folder="whole")
    monkeypatch.setenv("SLOW", "1")
    with running(*wanted, "hydra.run.dir=run", until="rank 1 is slow") as (process, ranks):
        time.sleep(1)
        sent = time.monotonic()
        os.kill(ranks[victim], signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait() == 143, said
    assert time.monotonic() - sent < 8
    assert "stopped in the validation after step 30" in said
    monkeypatch.delenv("SLOW")
    run = workplace / "run"
    assert tensors(run)["best"][1] < 30
    train(f"resume={run}", "trust=true", small=False)
    for name in ("last.ckpt", "best.ckpt"):
        assert_same(tensors(run, name), tensors(whole, name), name)
    assert metrics(run) == metrics(whole)


def test_several_processes_refuse_what_they_cannot_split(
    train: Train, workplace: Path, capfd: Capture
) -> None:
    for option in ("data.batch_size=5", "model.batchnorm=true", "trainer.num_nodes=2"):
        train("trainer.devices=2", option, code=2)
        assert capfd.readouterr().err.startswith(f"charrnn train: {option}: ")
    train("trainer.devices=3", "data.batch_size=3", "data.seq_length=500", code=2)
    assert "has text for 1 stream(s) of data.seq_length=500" in capfd.readouterr().err
    assert not (workplace / "run").exists()


class Stuck(Callback):
    """Never lets one of the ranks begin step 107."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == 106:
            time.sleep(600)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_waits_for_a_killed_one_ends(workplace: Path, victim: int) -> None:
    """Wait in a callback for an hour, as NCCL does."""
    stuck = [f"+callbacks.stuck={{_target_:{__name__}.Stuck,rank:{1 - victim}}}"]
    with running(*LONG, *stuck, "hydra.run.dir=run") as (process, ranks):
        time.sleep(1)
        os.kill(ranks[victim], signal.SIGKILL)
        killed = time.monotonic()
        said = process.stderr.read()  # until both have ended
        assert time.monotonic() - killed < 10
        assert process.wait() == (1 if victim else -signal.SIGKILL)
    line = f"charrnn train: rank 1 (process {ranks[1]}) was killed by SIGKILL; the run is saved"
    assert said.startswith(line) if victim else said == ""
    assert tensors(workplace / "run")["step"] == 100  # not saved again


SCRIPT = """
import sys
import charrnn, lightning, own

class Mine(lightning.Callback):
    pass

charrnn.register_cell("own", charrnn.Cell("rzn", ("h",), own.GRU, separate_sums="n"))
callback = "+callbacks.own._target_="
for word in (callback + "__main__.Mine", callback + "own.Faulty", "model.kind=own"):
    try:
        print(charrnn.train(*sys.argv[1:], word, f"hydra.run.dir={word[-4:]}").step)
    except Exception as error:
        print(error)
"""
OWN = """
import torch
from lightning.pytorch.callbacks import Callback

class GRU(torch.nn.GRU):
    pass

class Faulty(Callback):
    def on_train_batch_end(self, trainer, *_):
        1 / (1 - trainer.global_rank)
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard(workplace: Path) -> None:
    """Check that a failed training raises an exception, after which the next one trains."""
    (workplace / "script.py").write_text(SCRIPT)
    (workplace / "own.py").write_text(OWN)
    command = [sys.executable, "script.py", *SMALL_DDP, "trainer.devices=2", "trainer.max_steps=5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    refused, failed, step = done.stdout.splitlines()
    assert refused.startswith("trainer.devices: the other processes cannot import __main__.Mine")
    raised = "own.Faulty raised ZeroDivisionError: division by zero"
    assert failed.startswith(f"rank 1: callbacks.own: {raised}; there is no checkpoint")
    assert step == "5"
    assert "Traceback" not in done.stderr


# -- torchrun --------------------------------------------------------------------------


def torchrun(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "torch.distributed.run", *words, "-m", "charrnn")


@pytest.mark.slow
def test_torchrun_on_two_machines(run_cache: Train, workplace: Path) -> None:
    """Start two torchruns, which meet over the loopback device."""
    one = run_cache("trainer.max_steps=30")
    where = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1",
             f"--master-port={20000 + os.getpid() % 10000}"]  # fmt: skip
    words = ["train", *SMALL_DDP, "trainer.devices=1", "trainer.num_nodes=2"]
    processes = [
        subprocess.Popen(
            [*torchrun(*where, f"--node-rank={number}"), *words, "trainer.max_steps=30"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert [out for out, _ in said] == ["", ""]
    assert "".join(err for _, err in said).count("best validation loss") == 1
    # both use the folder that the first had made
    (run,) = (p.parent for p in workplace.glob("outputs/train/*/*/checkpoints"))
    assert_near(column(one, "train/loss"), column(run, "train/loss"))


@pytest.mark.slow
def test_a_restart_by_torchrun_is_exact(train: Train, workplace: Path) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25", "trainer.max_steps=1500"]
    whole = train(*wanted, "trainer.devices=2", folder="whole")
    program = torchrun("--standalone", "--nproc-per-node=2", "--max-restarts=1")
    with running(*wanted, "hydra.run.dir=run", "resume=auto", program=program) as (process, ranks):
        os.kill(ranks[1], signal.SIGKILL)
        said = process.stderr.read()
        assert process.wait() == 0, said
    assert "resuming from" in said
    assert_same(tensors(workplace / "run"), tensors(whole))
    assert metrics(workplace / "run") == metrics(whole)


# -- the parts -------------------------------------------------------------------------


def test_carried_state_keeps_its_rows_in_other_shares() -> None:
    rows = torch.arange(12.0).view(12, 1)

    def ranks(count: int) -> list[dict[str, Any]]:
        parts = rows.tensor_split(count)
        return [
            {"state": [[part, -part], [2 * part, 3 * part]], "cpu": i}
            for i, part in enumerate(parts)
        ]

    for before in (1, 2, 3):
        for after in (1, 2, 4, 6):
            shares = [
                select_rank_state(ranks(before), rank, after)["state"] for rank in range(after)
            ]
            assert_same(shares, [saved["state"] for saved in ranks(after)])
    assert select_rank_state(ranks(3), 2, 3)["cpu"] == 2
