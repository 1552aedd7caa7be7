"""`charrnn runs`: the runs of a folder, the best first."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from tests.conftest import Patch
from tests.refusals import refusal_of
from tests.small_runs import SMALL, Capture, column

HEADER = "step,epoch,train/loss,val/loss,val/bits_per_character,lr,characters_per_second\n"


def write_run(
    folder: Path,
    losses: list[tuple[int, float | None]],
    speed: float = 1000.0,
    overrides: tuple[str, ...] = (),
    **config: Any,
) -> Path:
    """Write a run of 2 x 10 characters a step, with rows of (step, validation loss)."""
    (folder / ".hydra").mkdir(parents=True)
    known = {"data": {"batch_size": 2, "seq_length": 10}, "trainer": {}, **config}
    for name, _, value in (override.partition("=") for override in overrides):
        group, _, option = name.partition(".")
        if option and not group.startswith("+"):
            known.setdefault(group, {})[option] = value
    for name, content in (("config", known), ("overrides", list(overrides))):
        (folder / ".hydra" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    rows = "".join(f"{s},1.0,2.0,{'' if v is None else v},,0.1,{speed}\n" for s, v in losses)
    (folder / "metrics.csv").write_text(HEADER + rows)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "outputs" / "train" / "day"
    write_run(run / "a", [(10, 2.0), (20, 1.75)], 100, ("optimizer.lr=0.01",), tags=["night"])
    write_run(run / "b", [(10, 1.5)], 300, ("optimizer.lr=1e-3", "model=gru"))
    write_run(run / "c", [(10, None)], 200, ("optimizer.lr=0.1",))
    return tmp_path


def list_runs(capsys: Capture, *words: str | Path) -> list[dict[str, Any]]:
    assert main(["runs", *map(str, words), "json=true"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def order(capsys: Capture, *words: str | Path) -> list[str]:
    return [row["run"][-1] for row in list_runs(capsys, *words)]


def test_the_table_and_json(place: Path, capsys: Capture) -> None:
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "        run  text    loss  network alone    mean  deviation  seeds  step  time\n"
        "train/day/b     ?  1.5000         1.5000  1.5000                 1    10      \n"
        "train/day/a     ?  1.7500         1.7500  1.7500                 1    20      \n"
        "train/day/c     ?                                                0            \n"
    )
    assert err == "sample from the best: charrnn sample checkpoint=outputs/train/day/b\n"
    rows = list_runs(capsys)
    assert [row["network_loss"] for row in rows] == [1.5, 1.75, None]
    assert [(row["mean"], row["seeds"]) for row in rows] == [(1.5, 1), (1.75, 1), (None, 0)]
    assert [row["optimizer.lr"] for row in rows] == ["1e-3", "0.01", "0.1"]


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ("sort=optimizer.lr", "bac"),
        ("sort=-optimizer.lr", "cab"),
        ("sort=-characters_per_second", "bca"),
        ("sort=-network", "abc"),  # as the table calls it; without a value last either way
        ("outputs/train/day/b", "b"),
        ("folder=outputs/train", "bac"),
    ],
)
def test_any_order(place: Path, capsys: Capture, words: str, runs: str) -> None:
    assert order(capsys, words) == [*runs]


def test_a_misspelt_column_is_refused(place: Path, capsys: Capture) -> None:
    line = "sort=los: no such column or option; did you mean loss?"
    assert line in refusal_of(capsys, "runs", "sort=los")


def test_a_loss_on_another_text_is_no_rank(place: Path, capsys: Capture) -> None:
    poems = {"batch_size": 2, "seq_length": 10, "input_txt": "/texts/poems.txt"}
    for seed, loss in ((1, 2.5), (2, 2.75)):
        write_run(place / "outputs" / f"{seed}", [(10, loss)], data=poems, seed=seed)
    letters = {**poems, "input_txt": "letters.txt"}
    write_run(place / "outputs" / "letters", [(10, 3.0)], data=letters)
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    _, *lines = out.splitlines()
    runs = ["train/day/b", "train/day/a", "train/day/c", "letters", "1", "2"]
    assert [line.split()[0] for line in lines] == runs
    assert re.search(r" poems.txt  2.5000 +2.5000  2.6250 +0.1768 +2 ", out)
    assert "sample from the best on poems.txt: charrnn sample checkpoint=outputs/1\n" in err


def test_a_model_that_cannot_be_read_is_not_recommended(place: Path, capsys: Capture) -> None:
    (place / "outputs" / "train" / "day" / "b" / "model.safetensors").write_bytes(b"old")
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split()[:3] == ["train/day/b", "?", "1.5000"]
    assert err == "sample from the best: charrnn sample checkpoint=outputs/train/day/a\n"


def test_no_name_adds_a_line(tmp_path: Path, monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a\nrm b", "c\r\nd"):
        write_run(tmp_path / "outputs" / name, [(10, 1.5)], data={"input_txt": f"x/{name}.txt"})
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["run", "a\\nrm", "c\\r\\nd"]
    assert err.count("\n") == err.count("sample from the best on ") == 2


def test_the_numbers_of_a_run(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path / "run", [(10, 2.5), (20, 1.5), (30, 1.75), (35, None)])
    (row,) = list_runs(capsys, tmp_path)
    assert (row["run"], row["network_loss"], row["step"], row["steps"]) == ("run", 1.5, 20, 35)
    assert (row["seconds"], row["parameters"]) == (None, None)  # without a model
    assert row["characters_per_second"] == 1000
    assert (row["mean"], row["deviation"], row["seeds"]) == (1.5, None, 1)
    # the speed is that of the whole time
    rates = "50,1,2,,,0.1,1000\n100,1,2,,,0.1,500\n"
    (tmp_path / "run" / "metrics.csv").write_text(HEADER + rates)
    assert list_runs(capsys, tmp_path)[0]["characters_per_second"] == round(2000 / 3)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("metrics.csv", ["x,1,2,1,,0.1,1000", "10,1,2,nan,,0.1,1000", "10,1,2,1", "\0"]),
        ("result.json", ["[1]", '{"value": 1}', "[" * 5000, '{"optimized_metric": 3}']),
    ],
)
def test_damage_is_left_out(tmp_path: Path, capsys: Capture, name: str, texts: list[str]) -> None:
    for n, text in enumerate(texts):
        with open(write_run(tmp_path / str(n), [(5, 2.0)]) / name, "a") as file:
            file.write(text + "\n")
    assert [row["loss"] for row in list_runs(capsys, tmp_path)] == [2.0] * len(texts)


def test_a_run_that_cannot_be_read_is_named_and_left_out(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path / "one", [(5, 2.0)])
    (write_run(tmp_path / "two", [(5, 2.0)]) / ".hydra" / "config.yaml").write_text("[1")
    assert main(["runs", f"folder={tmp_path}", "json=true"]) == 0
    out, err = capsys.readouterr()
    assert [row["run"] for row in json.loads(out)] == ["one"]
    assert re.search("skipped a run: .*two", err)


def test_seeds_have_a_mean_and_other_options_another(tmp_path: Path, capsys: Capture) -> None:
    for number, (lr, seed, loss) in enumerate([(1, 1, 2.0), (1, 2, 3.0), (2, 1, 1.0)]):
        overrides = (f"optimizer.lr={lr}", f"seed={seed}")
        # a resume may set trust, and tags may contain the folder's name
        free = {"seed": seed, "tags": [str(number)], "trust": number == 0}
        write_run(tmp_path / str(number), [(5, loss)], overrides=overrides, **free)
    shutil.copytree(tmp_path / "0", tmp_path / "copy")  # is no other seed
    rows = list_runs(capsys, tmp_path)
    found = {row["run"]: (row["mean"], row["seeds"], row["deviation"]) for row in rows}
    of_two = (2.5, 2, pytest.approx(0.5**0.5))
    assert found == {"0": of_two, "1": of_two, "copy": of_two, "2": (1.0, 1, None)}


def test_the_loss_as_written_ranks(tmp_path: Path, capsys: Capture) -> None:
    for name, network, written in (("a", 1.5, 1.25), ("b", 1.4, 1.3), ("c", 1.6, 1.6)):
        folder = write_run(tmp_path / name, [])
        row = f"10,1,2,{network},,0.1,1000,{written}\n"
        (folder / "metrics.csv").write_text(f"{HEADER.strip()},val/loss_as_written\n{row}")
    assert order(capsys, tmp_path) == ["a", "b", "c"]
    assert order(capsys, tmp_path, "sort=network") == ["b", "a", "c"]
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().err.endswith(f"checkpoint={tmp_path / 'a'}\n")


def test_the_leaderboard_is_what_the_runs_say(workplace: Path, capfd: Capture) -> None:
    words = ["train", "-m", *SMALL, "hydra.sweep.dir=sweep", "trainer.max_steps=21"]
    assert main([*words, "optimizer.lr=1e-3,1e300,2e-2"]) == 1
    said = capfd.readouterr().err
    assert re.search(r"^\t#2 : .*optimizer.lr=0.02", said, re.MULTILINE)
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
        assert f"; {int(row['parameters']):,} parameters\n" in said
    # the same on standard error
    assert f"sample from the best: charrnn sample checkpoint=sweep/{board[0]['run']}\n" in said
    table = said[said.index("run        text    loss  ") :].splitlines()[1:4]
    assert [line.split()[0][:2] for line in table] == [row["run"][:2] for row in board]
    # and charrnn runs says it again
    rows = list_runs(capfd, "sweep")
    assert [row.pop("run") for row in rows] == [f"sweep/{row.pop('run')}" for row in board]
    assert [{n: "" if v is None else str(v) for n, v in row.items()} for row in rows] == board
