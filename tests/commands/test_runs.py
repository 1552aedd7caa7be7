"""`charrnn runs`: the runs of a folder, the best first."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.runs.result import Result, read_result
from tests.conftest import Patch
from tests.faults.child import Fault, run, send
from tests.small_runs import SMALL, Capture, column


def write_run(folder: Path, network_loss: float | None = None, **values: Any) -> Path:
    """Write the result of a run with this loss of its network, and a file as its model."""
    (folder / "checkpoints").mkdir(parents=True)
    loss = values.pop("loss", network_loss)
    values = {"steps": 20, "fingerprint": "a", "network_loss": network_loss, "loss": loss, **values}
    Result(folder, **values).write()
    (folder / "model.safetensors").touch()
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "outputs" / "train" / "day"
    measured = {"characters": 1000, "text": "my.txt"}
    night = {"optimizer.lr": 0.01, "tags": ["night"]}
    write_run(run / "a", 1.75, step=20, seconds=10.0, options=night, **measured)
    gru = {"optimizer.lr": 0.001, "model": "gru"}
    write_run(run / "b", 1.5, step=10, seconds=3.0, options=gru, **measured)
    write_run(run / "c", seconds=5.0, options={"optimizer.lr": 0.1}, **measured)
    return tmp_path


def list_runs(capsys: Capture, *words: str | Path) -> list[dict[str, Any]]:
    assert main(["runs", *map(str, words), "json=true"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_the_best_run_is_the_first_and_no_name_adds_a_line(place: Path, capsys: Capture) -> None:
    write_run(place / "outputs" / "x\r\nrm y", 2.0, text="x\r\ny.txt")
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    runs = ["train/day/b", "train/day/a", "x\\r\\nrm", "train/day/c"]
    assert [line.split()[0] for line in lines] == ["run", *runs]
    rows = list_runs(capsys)
    assert [row["network_loss"] for row in rows] == [1.5, 1.75, 2.0, None]
    assert [row["seeds"] for row in rows] == [1, 1, 1, 0]
    assert [row.get("optimizer.lr") for row in rows] == [0.001, 0.01, None, 0.1]


def test_the_runs_of_a_folder_are_sorted_by_a_column(place: Path, capsys: Capture) -> None:
    for words, runs in {
        "sort=optimizer.lr": "bac",
        "sort=-seconds": "acb",
        "sort=-network_loss": "abc",  # without a value last either way
        "sort=tags": "abc",
        "outputs/train/day/b": "b",
        "folder=outputs/train": "bac",
    }.items():
        assert [row["run"][-1] for row in list_runs(capsys, words)] == [*runs]


def test_a_loss_on_another_text_is_no_rank(place: Path, capsys: Capture) -> None:
    """Check also that a run without a model is not recommended."""
    (place / "outputs" / "train" / "day" / "b" / "model.safetensors").unlink()
    for seed, loss in ((1, 2.5), (2, 2.75)):
        poems = {"text": "poems.txt", "fingerprint": "p", "options": {"seed": seed}}
        write_run(place / "outputs" / f"{seed}", loss, **poems)
    write_run(place / "outputs" / "letters", 3.0, text="letters.txt", fingerprint="l")
    found = [row["run"] for row in list_runs(capsys)]
    assert found == ["letters", "train/day/b", "train/day/a", "train/day/c", "1", "2"]


def test_a_damaged_result_is_no_result(tmp_path: Path, capsys: Capture) -> None:
    """Check values of other types, other programs' files, and what is no file."""
    sound = json.loads((write_run(tmp_path / "sound", 2.0) / "result.json").read_text())
    changes: list[dict[str, Any]] = [
        {"steps": 1.5}, {"steps": True}, {"loss": "2"}, {"loss": 2}, {"words": [1]}, {"text": None},
        {"options": []}, {"objective": float("nan")}, {"network_loss": 1e999},
    ]  # fmt: skip
    texts = [json.dumps({**sound, **change}) for change in changes]
    less = {name: value for name, value in sound.items() if name != "seconds"}
    texts += ["[1]", '{"value": 1}', "[" * 5000, "", "\0", json.dumps(less)]
    for number, text in enumerate(texts):
        folder = write_run(tmp_path / str(number), 1.0)
        (folder / "result.json").write_text(text)
        (folder / "checkpoints" / "last.ckpt").touch()
    shutil.copytree(tmp_path / "sound", tmp_path / "more")
    (tmp_path / "more" / "result.json").write_text(json.dumps({**sound, "later": 1}))
    assert main(["runs", f"folder={tmp_path}", "json=true"]) == 0
    out, err = capsys.readouterr()
    assert {row["run"] for row in json.loads(out)} == {"sound", "more"}
    for number in range(len(texts)):
        assert f"skipped a run: {tmp_path}/{number}/result.json is missing or damaged\n" in err


def test_seeds_have_a_mean_and_other_options_another(tmp_path: Path, capsys: Capture) -> None:
    for number, (lr, seed, loss) in enumerate([(1, 1, 2.0), (1, 2, 3.0), (2, 1, 1.0)]):
        # tags and loggers may contain the folder's name
        free = {"tags": [str(number)], "logger.csv.save_dir": str(number)}
        options = {"optimizer.lr": lr, "seed": seed, **free}
        write_run(tmp_path / str(number), loss, options=options)
    shutil.copytree(tmp_path / "0", tmp_path / "copy")  # is no other seed
    rows = list_runs(capsys, tmp_path)
    found = {row["run"]: (row["mean"], row["seeds"], row["deviation"]) for row in rows}
    of_two = (2.5, 2, pytest.approx(0.5**0.5))
    assert found == {"0": of_two, "1": of_two, "copy": of_two, "2": (1.0, 1, None)}


def test_a_result_is_written_in_each_phase(workplace: Path) -> None:
    """Check it after kills at the start and in a validation, after a signal, and at the end."""
    words = ["train", *SMALL, "trainer.max_steps=25"]
    assert main([*words, "hydra.run.dir=whole"]) == 0
    phases = (  # a fault, the exit code, and the steps and the best step in the result
        (Fault("export", "end", 2), -9, (7, 7)),  # after its model file
        (Fault("checkpoint", "begin", 2), -9, (14, 14)),  # before its last.ckpt
        (Fault("step", "forward", 10, partial(send, signal.SIGTERM)), 143, (17, 14)),
    )
    begin = [*words, "hydra.run.dir=run"]
    run(begin, workplace, Fault("step", "forward", 3), code=-9)
    started = read_result(workplace / "run")
    assert started is not None
    assert (started.steps, started.loss, started.text) == (0, None, "corpus.txt")
    begin = [*begin, "resume=auto"]  # begins again in the same folder
    for fault, code, steps in phases:
        run(begin, workplace, fault, code=code)
        result = read_result(workplace / "run")
        assert result is not None
        assert (result.steps, result.step) == steps
        begin = ["train", "resume=run"]
    run(begin, workplace)
    last, whole = (vars(read_result(workplace / name)) for name in ("run", "whole"))
    different = {name for name in whole if last[name] != whole[name]}
    assert different <= {"folder", "seconds"}
    assert whole["network_loss"] == column(workplace / "whole", "val/loss")[whole["step"]]
    assert whole["loss"] <= whole["counts_loss"] < whole["network_loss"] == whole["compared_loss"]


def test_the_leaderboard_is_what_the_runs_say(workplace: Path, capfd: Capture) -> None:
    """Check that the best network wins, also where counts make a worse one write better."""
    words = ["train", "-m", *SMALL, "hydra.sweep.dir=sweep", "trainer.max_steps=21"]
    assert main([*words, "optimizer.lr=1e-3,1e300,2e-2"]) == 1
    said = capfd.readouterr().err
    sweep = workplace / "sweep"
    board = list(csv.DictReader((sweep / "leaderboard.csv").read_text().splitlines()))
    assert {row["optimizer.lr"] for row in board[:2]} == {"0.001", "0.02"}
    assert [row["loss"] for row in board[2:]] == [""]
    for row in board[:2]:
        losses = column(sweep / row["run"], "val/loss")
        step = min(losses, key=lambda step: losses[step])
        assert (float(row["network_loss"]), row["step"]) == (losses[step], str(step))
        assert float(row["loss"]) == column(sweep / row["run"], "val/loss_as_written")[step]
        assert row["steps"] == "21"
    best, other = (row["run"] for row in board[:2])
    assert f"sample from the best: charrnn sample checkpoint=sweep/{best}\n" in said
    # charrnn runs says it again
    rows = list_runs(capfd, "sweep")
    assert [row.pop("run") for row in rows] == [f"sweep/{row.pop('run')}" for row in board]
    assert [{n: "" if v is None else str(v) for n, v in row.items()} for row in rows] == board
    loser = read_result(sweep / other)
    assert loser is not None
    loser.loss = 0.1
    loser.write()
    assert main(["sample", "sweep", "length=3"]) == 0
    assert f"the best run of sweep: {best}\n" in capfd.readouterr().err
