"""From the words to the options, and the folder of a run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.cli.conf import page
from charrnn.cli.job import Request
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.say import duration


def test_groups_and_values(door: Any) -> None:
    words = ["model=gru", "experiment=torch_rnn", "callbacks=early_stopping", "logger=none"]
    assert door("train", *words, "optimizer.lr=1e-3", "model.dropout=0", "seed=null").code == 0
    [options] = door.asked
    config = options.config
    assert config.model.kind == "gru"
    assert config.data.corpus == "tiny_shakespeare"
    assert config.callbacks["early_stopping"]["patience"] == 5
    assert config.logger == {}
    assert config.optimizer["lr"] == 1e-3
    assert config.model.dropout == 0
    assert config.seed is None


@pytest.mark.parametrize("group", page("train").groups)
def test_every_choice_composes(group: str, door: Any) -> None:
    for choice in page("train").groups[group]:
        answer = door("train", f"{group}={choice}")
        if group == "sweep":
            assert "sweep: there is nothing to search" in answer.err
        elif answer.code != 0:  # what needs a package that is not there says so
            assert re.search(rf"needs the package {choice}: .*pip install", answer.err), answer


def test_lists(door: Any) -> None:
    assert door("preprocess", "input_txt=[a.txt, 'Zür, b.txt']", "output_h5=x.h5").code == 0
    assert door("train", "trainer.devices=[0,1]", "data.input_txt=[a,b]").code == 0
    assert door.asked[0].input_txt == ["a.txt", "Zür, b.txt"]
    assert door.asked[1].config.trainer.devices == [0, 1]
    assert door.asked[1].config.data.input_txt == ["a", "b"]


def test_hydras_additions_and_interpolations(door: Any) -> None:
    assert door("sample", "+note=3", "length=${note}", "top_k=${length}").code == 0
    assert (door.asked[0].length, door.asked[0].top_k) == (3, 3)


def test_an_experiment_of_ones_own(door: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /model: rnn\nmodel:\n  hidden_size: 8\n"
    )
    assert door("train", "experiment=tiny", "--config-dir", "mine").code == 0
    model = door.asked[0].config.model
    assert (model.kind, model.hidden_size) == ("rnn", 8)


def test_showing_the_config_runs_nothing(door: Any, tmp_path: Path) -> None:
    answer = door("train", "--cfg", "job", "-p", "model", "model=gru")
    assert (answer.code, answer.err) == (0, "")
    assert yaml.safe_load(answer.out)["kind"] == "gru"
    assert "hydra:" in door("sample", "--cfg", "all").out
    assert "model: gru" in door("train", "--info", "defaults-tree", "model=gru").out
    assert "Hydra" in door("train", "--hydra-help").out
    resolved = door("sample", "--cfg", "job", "--resolve", "length=7", "top_k=${length}").out
    assert "top_k: 7" in resolved
    assert door.asked == []
    assert list(tmp_path.iterdir()) == []


def test_what_train_is_told(door: Any, tmp_path: Path) -> None:
    assert door("train", "init_from=${x} y", "model=gru", "hydra.run.dir=my run").code == 0
    [asked] = door.asked
    assert isinstance(asked, Request)
    assert asked.folder == tmp_path / "my run"
    assert asked.overrides == (r"init_from='\${x} y'", "model=gru")
    assert asked.given == ("init_from", "model")
    assert asked.config.model.kind == "gru"
    assert asked.config.init_from == "${x} y"
    assert asked.hydra["run"]["dir"] == "my run"
    assert asked.job_id == ""
    assert (asked.choices["model"], asked.choices["optimizer"]) == ("gru", "muon")


def test_the_folder_of_a_run(door: Any, tmp_path: Path) -> None:
    folders = []
    door.action = lambda options: folders.append(options.folder)
    assert door("train").code == 0
    assert door("train").code == 0
    first, second = folders
    shape = r"outputs/train/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d{6}"
    assert re.fullmatch(shape, str(first.relative_to(tmp_path)))
    assert first != second
    assert list(first.iterdir()) == []  # the run records itself, under its lock


def test_only_train_makes_a_folder(door: Any, tmp_path: Path) -> None:
    assert door("sample").code == 0
    assert door("evaluate").code == 0
    assert door("preprocess", "input_txt=a").code == 0
    assert door("convert", "input=a", "output=b.safetensors").code == 0
    assert list(tmp_path.iterdir()) == []


def test_input_that_is_refused_later_takes_the_folder_back(door: Any, tmp_path: Path) -> None:
    def refuse(options: Any) -> None:
        (options.folder / ".lock").touch()
        raise InputError("a.txt: no such file")

    door.action = refuse
    answer = door("train", "data.input_txt=a.txt")
    assert answer == (2, "", "charrnn train: a.txt: no such file\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_stays(door: Any, tmp_path: Path) -> None:
    def refuse(options: Any) -> None:
        (options.folder / "metrics.csv").touch()
        raise InputError("no")

    door.action = refuse
    assert door("train", "hydra.run.dir=run").code == 2
    assert (tmp_path / "run" / "metrics.csv").exists()
    (tmp_path / "old").mkdir()
    door.action = lambda options: (_ for _ in ()).throw(InputError("no"))
    assert door("train", "hydra.run.dir=old").code == 2
    assert (tmp_path / "old").exists()


def test_a_folder_that_cannot_be_made(door: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["hydra.run.dir=file/run"], ["-m", "hydra.sweep.dir=file/runs"]):
        answer = door("train", *words)
        assert answer.code == 1
        assert re.fullmatch(
            r"charrnn train: .*/file/runs?(/sweep.json)?: cannot be written .*\n", answer.err
        )


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a: b"), 2, "a: b"),
        (RunError("disk\x1b[31m\nfull"), 1, r"disk\x1b[31m\nfull"),
        (Interrupted("saved"), 130, "saved"),
        (Interrupted("saved", 15), 143, "saved"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (FileNotFoundError(2, "No such file", "x y"), 1, "x y: No such file"),
        (MemoryError(), 1, "there is too little memory"),
    ],
)
def test_how_a_command_ends(error: BaseException, code: int, line: str, door: Any) -> None:
    def fail(options: Any) -> None:
        raise error

    door.action = fail
    assert door("sample") == (code, "", f"charrnn sample: {line}\n")


def test_a_fault_of_our_own_keeps_its_traceback(door: Any) -> None:
    door.action = lambda options: duration("no number")  # type: ignore[arg-type]
    answer = door("sample")
    assert answer.code == 1
    assert "TypeError: " in answer.err
    assert "say.py" in answer.err
    assert answer.err.splitlines()[-1].startswith("charrnn sample: this is a fault in charrnn")


def test_a_fault_in_other_code_is_told_as_that(door: Any) -> None:
    def fail(options: Any) -> None:
        raise ZeroDivisionError("oops")

    door.action = fail
    answer = door("sample")
    assert answer.code == 1
    assert 'compose.py", line' not in answer.err.replace("test_compose.py", "")
    said = answer.err.splitlines()[-1]
    assert "test_compose.py:" in said
    assert said.endswith("ZeroDivisionError: oops (in your own code, not in charrnn)")


def test_a_command_may_change_the_overrides(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def prepare(overrides: list[str]) -> list[str]:
        seen.extend(overrides)
        return [*overrides, "checkpoint=O Romeo, Romeo"]

    module = sys.modules["charrnn.commands.sample"]
    monkeypatch.setattr(module, "prepare_overrides", prepare, raising=False)
    assert door("sample", "start_text=What's").code == 0
    assert seen == ["start_text=What's"]
    assert door.asked[0].checkpoint == "O Romeo, Romeo"
