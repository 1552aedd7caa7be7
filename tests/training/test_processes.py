"""Several processes: the same training as one, exact resumes, and an end for all when one ends."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
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

from charrnn.errors import InputError, RunError
from charrnn.models import checkpoint
from charrnn.runs import processes
from charrnn.training.restoring import share
from tests.small_runs import SMALL, Train, assert_same, metrics, tensors

SMALL_DDP = ("trainer=ddp", *SMALL[1:])
LONG = ("trainer.max_steps=100000", "checkpoint_every=50", "logger=csv")
END = "trainer.max_steps=160"
LOST = "the last good checkpoint stands: charrnn train resume=run goes on from it"


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
def test_two_processes_share_out_what_one_shuffles(train: Train) -> None:
    """And resume exactly, from an epoch's end and from within it."""
    wanted = ["data.shuffle=true", "print_every=1"]
    one = train(*wanted, "trainer.max_steps=50", folder="one")
    two = train(*wanted, "trainer.max_steps=50", "trainer.devices=2", folder="two")
    assert_near(column(one, "train/loss"), column(two, "train/loss"))
    parts = train(*wanted, "trainer.max_steps=20", "trainer.devices=2", folder="parts")
    for stop in (30, 50):
        train(f"resume={parts}", f"trainer.max_steps={stop}", small=False)
    for part in ("weights", "optimizer", "ranks", "step"):
        assert_same(tensors(parts)[part], tensors(two)[part], part)


@pytest.mark.slow
def test_more_may_go_on_from_one(train: Train, workplace: Path) -> None:
    one = train("trainer.max_steps=100", "callbacks.checkpoints.keep_every=50", folder="one")
    point = one / "checkpoints" / "step-50.ckpt"
    for count in (2, 4):
        train(f"resume={point}", f"trainer.devices={count}", f"hydra.run.dir={count}", small=False)
        whole = column(one, "train/loss")
        later = {step: loss for step, loss in whole.items() if step > 50}
        assert_near(column(workplace / str(count), "train/loss"), later)


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
def test_kills_at_random_moments_lose_nothing(train: Train, workplace: Path) -> None:
    """While they start, step, validate and save; one of the two, over and over."""
    wanted = ["trainer.max_steps=500", "checkpoint_every=3", "model.dropout=0.25", "logger=csv"]
    whole = train(*wanted, "trainer.devices=2", folder="whole")
    generator = random.Random(1)
    words = [*SMALL_DDP, *wanted, "hydra.run.dir=run"]
    codes = []
    for _ in range(8):
        command = [sys.executable, "-m", "charrnn", "train", *words]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            next(line for line in process.stderr if line.startswith("device"))
            ranks = children(process.pid)
            time.sleep(generator.random() * 2)
            with contextlib.suppress(ProcessLookupError):  # it had ended
                os.kill(ranks[generator.randrange(2)], signal.SIGKILL)
            said = process.stderr.read()
            codes.append(process.wait())
        if codes[-1] == 0:
            break
        assert " was killed by SIGKILL; the" in said.rstrip().splitlines()[-1]
        words = ["resume=run"]
    assert codes.count(1) >= 2
    if codes[-1]:
        train("resume=run", small=False)
    assert_same(tensors(workplace / "run"), tensors(whole))
    assert metrics(workplace / "run") == metrics(whole)


SIGNALS = {signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGUSR2: 143, signal.SIGINT: 130}


@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGUSR1, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR2, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_signal_stops_all_at_the_same_step(workplace: Path, signum: int) -> None:
    with running(*LONG, "hydra.run.dir=run") as (process, _):
        process.send_signal(signum)
        said = process.stderr.read()
        assert process.wait() == SIGNALS[signal.Signals(signum)], said
    lines = [line for line in said.splitlines() if line and not line.startswith("epoch")]
    match = re.fullmatch(rf"charrnn train: stopped after step (\d+); {LOST}", lines[-1])
    assert match is not None
    assert lines[-2] == f"{signal.Signals(signum).name}: saving at the end of this step"
    assert tensors(workplace / "run")["step"] == int(match[1])


@pytest.mark.slow
def test_a_signal_to_one_of_them_stops_all(workplace: Path) -> None:
    """Also when it comes while that one waits for the other, which is in the midst of a step."""
    with running(*LONG, "hydra.run.dir=run") as (process, ranks):
        os.kill(ranks[0], signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(ranks[1], signal.SIGTERM)
        time.sleep(0.5)
        os.kill(ranks[0], signal.SIGCONT)
        said = process.stderr.read()
        assert process.wait() == 143, said
        assert "stopped after step" in said


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_one_that_hangs(workplace: Path) -> None:
    with running(*LONG, "hydra.run.dir=run") as (process, ranks):
        os.kill(ranks[1], signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert f"charrnn train: stopped; {LOST}" in process.stderr.read()
        assert process.wait() == 130
    assert not any(map(is_there, ranks))
    assert tensors(workplace / "run")["step"] >= 100


@pytest.mark.slow
def test_they_leave_when_the_one_that_started_them_is_killed(workplace: Path) -> None:
    with running(*LONG, "hydra.run.dir=run") as (process, _):
        process.kill()
        process.stderr.read()  # ends when the last of them has ended
    assert tensors(workplace / "run")["step"] >= 105


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
def test_torchrun(train: Train, workplace: Path) -> None:
    one = train("trainer.max_steps=30", folder="one")
    words = ["train", *SMALL_DDP, "trainer.max_steps=30"]
    done = subprocess.run(
        [*torchrun("--standalone", "--nproc-per-node=2"), *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("best validation loss") == 1
    # all of them found the folder that the first had made
    (run,) = (p.parent for p in workplace.glob("outputs/train/*/*/checkpoints"))
    assert_near(column(one, "train/loss"), column(run, "train/loss"))


@pytest.mark.slow
@pytest.mark.parametrize("words", [["data.batch_size=5"], ["nonsense=1"], ["trainer.devices=3"]])
def test_torchrun_refused(workplace: Path, words: list[str]) -> None:
    command = [*torchrun("--standalone", "--nproc-per-node=2"), "train", *SMALL_DDP, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1  # torchrun's own
    assert done.stderr.count("charrnn train:") == 1
    assert not list(workplace.glob("outputs/train/*/*"))


@pytest.mark.slow
def test_two_machines(train: Train, workplace: Path) -> None:
    """Two torchruns that meet over the network, here over the loopback device."""
    one = train("trainer.max_steps=30", folder="one")
    port = 20000 + os.getpid() % 10000
    where = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"]
    words = ["train", *SMALL_DDP, "trainer.devices=1", "trainer.num_nodes=2"]
    words += ["trainer.max_steps=30", "hydra.run.dir=two"]
    nodes = [
        subprocess.Popen(
            [*torchrun(*where, f"--node-rank={number}"), *words], stderr=subprocess.PIPE, text=True
        )
        for number in (0, 1)
    ]
    said = [node.communicate(timeout=120)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert said[0].count("best validation loss") == 1
    assert "epoch" not in said[1]
    assert_near(column(one, "train/loss"), column(workplace / "two", "train/loss"))


@pytest.mark.slow
def test_a_restart_by_torchrun_is_exact(train: Train, workplace: Path) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25", "trainer.max_steps=1500"]
    whole = train(*wanted, "trainer.devices=2", folder="whole")
    program = torchrun("--standalone", "--nproc-per-node=2", "--max-restarts=1")
    with running(*wanted, "hydra.run.dir=run", program=program) as (process, ranks):
        os.kill(ranks[1], signal.SIGKILL)
        said = process.stderr.read()
        assert process.wait() == 0, said
    assert "going on from" in said
    assert_same(tensors(workplace / "run"), tensors(whole))
    assert metrics(workplace / "run") == metrics(whole)


@pytest.mark.slow
def test_torchrun_restarts_need_a_folder(workplace: Path) -> None:
    command = [*torchrun("--standalone", "--max-restarts=1"), "train", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "hydra.run.dir: with torchrun's --max-restarts give it" in done.stderr


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


@pytest.mark.parametrize(
    "error",
    [
        InputError("a.txt: no such file"),
        RunError("diverged"),
        MemoryError("too much"),
    ],
)
def test_errors_travel(error: Exception) -> None:
    found = pickle.loads(pickle.dumps(processes.sendable(error)))
    assert (type(found), str(found)) == (type(error), str(error))
    assert getattr(found, "exit_code", 1) == getattr(error, "exit_code", 1)


def test_a_file_error_travels_as_its_line() -> None:
    found = processes.sendable(FileNotFoundError(2, "No such file", "a.h5"))
    assert isinstance(found, RunError)
    assert str(found) == "a.h5: No such file"


def test_a_fault_tells_its_traceback_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        {}["nope"]
    except KeyError as error:
        found = processes.sendable(error)
    assert "test_a_fault_tells_its_traceback_where_it_was" in capsys.readouterr().err
    assert str(found) == "KeyError: 'nope'"
