"""Several processes: the same training as one, exact resumes, and an end for all when one ends."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback

import charrnn
from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.models import checkpoint
from tests.small_runs import SMALL, Capture, Train, assert_same, column, metrics, tensors
from tests.tools import refusal_of, until
from tests.training import launches
from tests.training.launches import LAUNCHER, PLAIN, find_last_line, read_said, running, wait_for

LONG = ("trainer.max_steps=100000", "checkpoint_every=50", "logger=csv")
END = "trainer.max_steps=1000"  # later than a kill


def check_stop(said: str, where: str) -> None:
    """Check the line of a run that was stopped at the step of its checkpoint."""
    told = rf"charrnn train: {where}; the run is saved; to resume it: charrnn train resume=run"
    match = re.fullmatch(told, find_last_line(said))
    assert match is not None, said
    assert tensors(Path("run"))["step"] == int(match[1])


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
    assert set(os.listdir(workplace)) == beside | {"outputs", "corpus.h5", "corpus.json"}
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


# what is refused, and a part of the line
REFUSED = {
    "data.batch_size=5": "data.batch_size=5: the text has 5 stream(s), which cannot",
    "model.batchnorm=true": "model.batchnorm=true: its statistics would differ",
    "trainer.devices=3": "torchrun started 2 processes in all",
    "model.hidden_sise=3": "did you mean model.hidden_size?",
    "resume=nothing": "nothing: no such file",
}


def test_a_refused_run_leaves_no_folder(workplace: Path) -> None:
    [option, part], *_ = REFUSED.items()
    assert wait_for(launches.fork_ranks("train", *SMALL, option)) == [2, 2]
    assert part in read_said(0)
    assert not list(workplace.glob("outputs/*/*/*"))


@pytest.mark.slow
@pytest.mark.parametrize("option", [*REFUSED])
def test_a_refused_run_ends_with_one_line_and_no_folder(workplace: Path, option: str) -> None:
    assert REFUSED[option] in find_last_line(launches.train(option, code=1))
    assert not list(workplace.glob("outputs/*/*/*"))


def test_a_signal_to_one_rank_stops_both_at_the_same_step(workplace: Path) -> None:
    ranks = launches.fork_ranks("train", *SMALL, *LONG, "hydra.run.dir=run")
    until(lambda: "step 105 /" in read_said(0))
    assert ranks[1].pid is not None
    os.kill(ranks[1].pid, signal.SIGTERM)
    assert wait_for(ranks) == [143, 143]
    check_stop(read_said(0), r"stopped after step (\d+)")


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_at_the_same_step(workplace: Path, signum: signal.Signals) -> None:
    with running(*LONG, "hydra.run.dir=run") as (process, _):
        send = os.killpg if signum == signal.SIGINT else os.kill  # to all, as a terminal does
        send(process.pid, signum)
        said = process.stderr.read()
        assert process.wait() == 1, said
    check_stop(said, r"stopped after step (\d+)")


class Slow(Callback):
    """Makes the last validation of rank 1 slow."""

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_step == 30 and trainer.global_rank == 1:
            print("rank 1 is slow", file=sys.stderr, flush=True)
            pl_module.network.register_forward_hook(lambda *_: time.sleep(3))


@pytest.mark.slow
def test_a_signal_in_the_last_validation_stops_all(workplace: Path) -> None:
    """Stop rank 0 when it waits for rank 1. test_faults.py resumes from such a stop."""
    wanted = [f"+callbacks.slow._target_={__name__}.Slow", "trainer.max_steps=30"]
    with running(*wanted, "hydra.run.dir=run", until="rank 1 is slow") as (process, _):
        time.sleep(1)
        process.terminate()
        said = process.stderr.read()
        assert process.wait() == 1, said
    assert "stopped in the validation after step 30; " in find_last_line(said)
    assert tensors(workplace / "run")["step"] == 28


class Faulty(Callback):
    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        assert trainer.global_rank == 0, "an injected fault"


@pytest.mark.slow
def test_a_fault_of_one_rank_is_told_in_one_line(workplace: Path) -> None:
    option = f"+callbacks.own._target_={__name__}.Faulty"
    said = launches.train(option, folder="run", code=1)
    assert "rank 1: this is a bug in charrnn, or in code of yours" in find_last_line(said)
    assert "AssertionError: an injected fault" in said


class Stuck(Callback):
    """Never lets one of the ranks begin step 107, where the environment names it."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 106 and os.environ.get("STUCK") == str(trainer.global_rank):
            time.sleep(600)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("stuck", [False, True])
def test_a_killed_process_ends_the_run_and_the_resume_is_exact(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, victim: int, stuck: bool
) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25", f"+callbacks.stuck._target_={__name__}.Stuck"]
    launches.train(*wanted, END, folder="whole")
    if stuck:
        monkeypatch.setenv("STUCK", str(1 - victim))
    with running(*LONG, *wanted, "hydra.run.dir=run") as (process, ranks):
        time.sleep(1)
        os.kill(ranks[victim], signal.SIGKILL)
        said = process.stderr.read()  # until both have ended: torchrun kills a stuck one
        assert process.wait() == 1
    assert f"Signal 9 (SIGKILL) received by PID {ranks[victim]}" in said
    if not stuck and "charrnn train: " in said:
        assert "another process of this run ended" in find_last_line(said)
    run, whole = workplace / "run", workplace / "whole"
    assert tensors(run)["step"] % 50 == 0  # not saved again
    monkeypatch.delenv("STUCK", raising=False)
    launches.train("resume=run", END, wanted[-1], small=False)
    assert_same(tensors(run), tensors(whole))
    assert metrics(run) == metrics(whole)


@pytest.mark.slow
def test_a_restart_by_torchrun_is_exact(workplace: Path) -> None:
    wanted = [*LONG[1:], "model.dropout=0.25", "trainer.max_steps=1500"]
    launches.train(*wanted, folder="whole")
    program = (*LAUNCHER, "--max-restarts=1", "-m", "charrnn")
    with running(*wanted, "hydra.run.dir=run", "resume=auto", program=program) as (process, ranks):
        os.kill(ranks[1], signal.SIGKILL)
        said = process.stderr.read()
        assert process.wait() == 0, said
    assert "resuming from" in said
    run, whole = workplace / "run", workplace / "whole"
    assert_same(tensors(run), tensors(whole))
    assert metrics(run) == metrics(whole)


@pytest.mark.slow
def test_a_script_under_torchrun(workplace: Path) -> None:
    Path("script.py").write_text(
        f"import charrnn\nresult = charrnn.train(*{SMALL!r}, 'trainer.max_steps=5')\n"
        "print(result.folder, result.step, flush=True)\n"
    )
    process = launches.start("script.py", program=LAUNCHER)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    first, second = printed.splitlines()
    assert first == second
    assert first.endswith(" 5")
