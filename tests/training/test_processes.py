"""Several processes: the same training as one, exact resumes, and an end for all when one ends."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.models import checkpoint
from tests.small_runs import SMALL, Capture, Train, column, tensors
from tests.tools import refusal_of, until
from tests.training import launches
from tests.training.launches import PLAIN, read_said, wait_for

LONG = ("trainer.max_steps=100000", "checkpoint_every=50", "logger=csv")


def test_two_processes_train_as_one(train: Train, workplace: Path, capfd: Capture) -> None:
    wanted = ["trainer.max_steps=40", "print_every=1"]
    one, two = train(*wanted, folder="one"), workplace / "two"
    ranks = launches.fork_ranks("train", *SMALL, *wanted, f"hydra.run.dir={two}")
    assert wait_for(ranks) == [0, 0], read_said(0)
    assert len(checkpoint.read(two / "checkpoints" / "last.ckpt")[checkpoint.ENTRY]["ranks"]) == 2
    for name in ("train/loss", "val/loss", "val/loss_as_written"):
        assert column(two, name) == pytest.approx(column(one, name), abs=1e-4)
    assert "device: CPU, 1 thread, 2 processes, precision 32-true" in read_said(0)
    assert read_said(0).count("step 20 /") == read_said(0).count("best model, of step") == 1
    assert "epoch" not in read_said(1)
    names = [{path.name.partition("tfevents")[0] for path in run.iterdir()} for run in (one, two)]
    assert names[0] == names[1]
    alone = ["trainer.devices=1", "trainer.strategy=auto", "trainer.max_steps=50"]
    assert "was trained with 2 process(es)" in refusal_of(capfd, "train", f"resume={two}", *alone)


@pytest.mark.slow
def test_the_plain_command_starts_torchrun(workplace: Path) -> None:
    beside = set(os.listdir(workplace))
    said = launches.train("trainer.max_steps=9", "trainer.devices=2", program=PLAIN)
    assert "device: CPU, 1 thread, 2 processes, precision 32-true" in said
    assert set(os.listdir(workplace)) == beside | {"outputs"}
    [run] = (workplace / "outputs" / "train").glob("*/*")
    assert tensors(run)["step"] == 9


def test_what_python_and_a_launcher_refuse(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    for option, given in (("devices", 2), ("num_nodes", 3)):
        with pytest.raises(InputError, match=f"trainer.{option}={given}.*with torchrun --nnodes="):
            charrnn.train(*SMALL, f"trainer.{option}={given}")
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2"),
                        ("LOCAL_WORLD_SIZE", "2"), ("TORCHELASTIC_RUN_ID", "x")):  # fmt: skip
        monkeypatch.setenv(name, value)
    assert main(["train", "-m", *SMALL, "seed=1,2"]) == 2
    assert "-m: start a sweep without torchrun and srun" in capfd.readouterr().err


def test_a_refused_run_leaves_no_folder(workplace: Path) -> None:
    assert wait_for(launches.fork_ranks("train", *SMALL, "data.batch_size=5")) == [2, 2]
    assert "data.batch_size=5: the text has 5 stream(s), which cannot" in read_said(0)
    assert not list(workplace.glob("outputs/*/*/*"))


@pytest.mark.parametrize(("signum", "to"), [(signal.SIGTERM, [1]), (signal.SIGUSR1, [0, 1])])
def test_a_signal_stops_both_at_the_same_step(workplace: Path, signum: int, to: list[int]) -> None:
    ranks = launches.fork_ranks("train", *SMALL, *LONG, "hydra.run.dir=run")
    until(lambda: "step 105 /" in read_said(0))
    for pid in [ranks[rank].pid for rank in to]:
        assert pid is not None
        os.kill(pid, signum)
    assert wait_for(ranks) == [143, 143]
    told = (
        r"^charrnn train: stopped after step (\d+); the run is saved; to resume it: .*resume=run$"
    )
    match = re.search(told, read_said(0), re.M)
    assert match is not None, read_said(0)
    assert tensors(workplace / "run")["step"] == int(match[1])
