"""Several processes: the same training as one, exact resumes, and an end for all when one ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from charrnn.models import checkpoint
from charrnn.training.restoring import share
from tests.small_runs import SMALL, Train, assert_same, metrics, tensors

SMALL_DDP = ("trainer=ddp", *SMALL[1:])
LONG = ("trainer.max_steps=100000", "checkpoint_every=50", "logger=csv")
END = "trainer.max_steps=160"
LOST = "the run is saved: charrnn train resume=run goes on"


@contextlib.contextmanager
def running(*words: str, program: tuple[str, ...] = ()) -> Iterator[tuple[Any, list[int]]]:
    """`charrnn train` with SMALL_DDP and more, at about step 105, and the ids of its ranks.

    Its steps have no end, so that it is still running.
    """
    command = [*(program or (sys.executable, "-m", "charrnn")), "train", *SMALL_DDP, *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    assert process.stderr is not None
    ranks: list[int] = []
    try:
        for line in process.stderr:
            if "step 1 /" in line:
                ranks = children(process.pid)
            if "step 105 /" in line:
                break
        assert len(ranks) == 2
        yield process, ranks
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def children(parent: int) -> list[int]:
    """Its processes that train, in the order of their ranks."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True
    )
    found = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    # multiprocessing has one more, which only watches
    return sorted(
        int(pid) for pid, ppid, *args in found
        if int(ppid) == parent and "resource_tracker" not in " ".join(args)
    )  # fmt: skip


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def column(run: Path, name: str) -> dict[int, float]:
    return {int(row["step"]): float(row[name]) for row in metrics(run) if row[name]}


def assert_near(one: dict[int, float], other: dict[int, float]) -> None:
    assert one.keys() == other.keys()
    assert max(abs(one[step] - other[step]) for step in one) < 1e-4


# -- one training ----------------------------------------------------------------------


def test_two_processes_train_as_one_does(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = ["trainer.max_steps=40", "print_every=1", "callbacks.checkpoints.keep_every=20"]
    one = train(*wanted, folder="one")
    capfd.readouterr()
    beside = set(os.listdir(workplace))
    two = train(*wanted, "trainer.devices=2", folder="two")
    out, err = capfd.readouterr()

    assert len(checkpoint.read(two / "checkpoints" / "last.ckpt")[checkpoint.ENTRY]["ranks"]) == 2
    for name in ("train/loss", "val/loss"):
        assert_near(column(one, name), column(two, name))

    # the second rank neither speaks nor leaves anything behind
    assert out == ""
    assert "device: CPU, 1 thread, 2 processes, precision 32-true" in err
    assert [line for line in err.splitlines() if ", step " in line] == [
        line for line in err.splitlines() if line.startswith("epoch ")
    ]
    assert err.count("step 20 /") == err.count("best validation loss") == 1
    assert set(os.listdir(workplace)) == beside | {"two"}
    assert {p.name for p in two.iterdir()} == {p.name for p in one.iterdir()}

    # without dropout, others may go on from there
    point = two / "checkpoints" / "step-20.ckpt"
    there = [f"resume={point}", "hydra.run.dir=back"]
    train(*there, "trainer.devices=1", "model.dropout=0.2", small=False, code=2)
    assert "was trained by 2 process(es)" in capfd.readouterr().err
    train(*there, "trainer.devices=1", small=False)
    whole = column(one, "train/loss")
    assert_near(column(workplace / "back", "train/loss"), {s: whole[s] for s in range(21, 41)})


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_run_and_the_resume_is_exact(
    train: Train, workplace: Path, victim: int
) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25"]
    whole = train(*wanted, END, "trainer.devices=2", folder="whole")
    with running(*LONG, *wanted, "hydra.run.dir=run") as (process, ranks):
        os.kill(ranks[victim], signal.SIGKILL)
        said = process.stderr.read()
        assert process.wait() == 1
    assert not any(map(is_there, ranks))
    assert said.rstrip().splitlines()[-1] == (
        f"charrnn train: rank {victim} (process {ranks[victim]}) was killed by SIGKILL; {LOST}"
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
    ("signum", "code"),
    [
        (signal.SIGTERM, 143),
        (signal.SIGUSR1, 143),
        (signal.SIGINT, 130),
    ],
)
def test_a_signal_stops_all_at_the_same_step(
    workplace: Path, signum: signal.Signals, code: int
) -> None:
    with running(*LONG, "hydra.run.dir=run") as (process, _):
        process.send_signal(signum)
        said = process.stderr.read()
        assert process.wait() == code, said
    match = re.search(rf"charrnn train: stopped after step (\d+); {LOST}\n$", said)
    assert match is not None, said
    assert f"{signum.name}: saving at the end of this step" in said
    assert tensors(workplace / "run")["step"] == int(match[1])


def test_what_cannot_be_split_is_refused(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for option in ("data.batch_size=5", "model.batchnorm=true", "trainer.num_nodes=2"):
        train("trainer.devices=2", option, code=2)
        assert capfd.readouterr().err.startswith(f"charrnn train: {option}: ")
    train("trainer.devices=3", "data.batch_size=3", "data.seq_length=500", code=2)
    assert "has text for 1 stream(s) of data.seq_length=500" in capfd.readouterr().err
    assert not (workplace / "run").exists()


# -- torchrun --------------------------------------------------------------------------


def torchrun(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "torch.distributed.run", *words, "-m", "charrnn")


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_torchrun(train: Train, made: Train, workplace: Path, nodes: int) -> None:
    """On two machines two torchruns meet over the network, here over the loopback device."""
    one = made("trainer.max_steps=30")
    port = 20000 + os.getpid() % 10000
    where = [f"--nnodes={nodes}", f"--nproc-per-node={2 // nodes}", "--master-addr=127.0.0.1",
             f"--master-port={port}"]  # fmt: skip
    words = ["train", *SMALL_DDP, f"trainer.devices={2 // nodes}", f"trainer.num_nodes={nodes}"]
    words += ["trainer.max_steps=30"]
    processes = [
        subprocess.Popen(
            [*torchrun(*where, f"--node-rank={number}"), *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(nodes)
    ]  # fmt: skip
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * nodes, said
    assert [out for out, _ in said] == [""] * nodes
    assert "".join(err for _, err in said).count("best validation loss") == 1
    # all of them found the folder that the first had made
    (run,) = (p.parent for p in workplace.glob("outputs/train/*/*/checkpoints"))
    assert_near(column(one, "train/loss"), column(run, "train/loss"))


@pytest.mark.slow
def test_when_the_command_is_killed_its_processes_save_and_leave(workplace: Path) -> None:
    with running(*LONG, "trainer.devices=2", "hydra.run.dir=run") as (process, _):
        process.kill()
        process.stderr.read()  # until the last of them has left
    assert tensors(workplace / "run")["step"] >= 105  # without saving it would be 100


@pytest.mark.slow
def test_a_restart_by_torchrun_is_exact(train: Train, workplace: Path) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25", "trainer.max_steps=1500"]
    whole = train(*wanted, "trainer.devices=2", folder="whole")
    program = torchrun("--standalone", "--nproc-per-node=2", "--max-restarts=1")
    with running(*wanted, "hydra.run.dir=run", "resume=auto", program=program) as (process, ranks):
        os.kill(ranks[1], signal.SIGKILL)
        said = process.stderr.read()
        assert process.wait() == 0, said
    assert "going on from" in said
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
            shares = [share(ranks(before), rank, after)["state"] for rank in range(after)]
            assert_same(shares, [saved["state"] for saved in ranks(after)])
    assert share(ranks(3), 2, 3)["cpu"] == 2
