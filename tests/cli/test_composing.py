"""From the words to the options, in the folder of a run: with Hydra's ways, and one's own files."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import charrnn
from charrnn.cli.conf import page
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.say import duration
from tests.small_runs import SMALL

FILES = {
    "optimizer/mine.yaml": "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.1\n",
    "callbacks/mine.yaml": (
        "defaults:\n  - default\n\ncounter:\n  _target_: own_parts.Counter\n  every: 2\n"
    ),
    "logger/mine.yaml": (
        "plain:\n  _target_: lightning.pytorch.loggers.CSVLogger\n  name: plain\n"
        "  save_dir: ${hydra:runtime.output_dir}\n"
    ),
    "schedule/mine.yaml": (
        "_target_: torch.optim.lr_scheduler.StepLR\n_partial_: true\nstep_size: 10\n"
    ),
    "data/mine.yaml": ("defaults:\n  - /base/data@_here_\n\ninput_txt: mine.txt\nval_frac: 0.2\n"),
    "experiment/slow.yaml": (
        "# @package _global_\ndefaults:\n  - override /schedule: step\n"
        "schedule:\n  decay_every: 3\n"
    ),
    "nested.yaml": "defaults: [train, _self_]\nhydra:\n  searchpath: ['file://HERE/far']\n",
}
GROUPS = ("optimizer", "callbacks", "logger", "schedule", "data")
MINE = ("--config-dir", "mine")


@pytest.fixture
def own(door: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The door, in a folder with a --config-dir `mine`, and a module on PYTHONPATH."""
    for name, text in FILES.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("HERE", str(tmp_path)))
    (tmp_path / "own_parts.py").write_text(
        "class Counter:\n    def __init__(self, every=1):\n        self.every = every\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield door
    sys.modules.pop("own_parts", None)


def test_groups_and_values(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LR", "0.25")
    words = ["model=gru", "experiment=torch_rnn", "callbacks=early_stopping", "logger=none"]
    words += ["+trainer.accumulate_grad_batches=2", "trainer.devices=[0,1]", "data.input_txt=[a,b]"]
    assert door("train", *words, "optimizer.lr=${oc.env:LR}", "model.dropout=0").code == 0
    config = door.asked[0].config
    assert (config.model.kind, config.model.dropout, config.logger) == ("gru", 0, {})
    assert config.callbacks["early_stopping"]["patience"] == 5
    assert config.optimizer["lr"] == 0.25
    assert config.trainer.rest["accumulate_grad_batches"] == 2
    assert (config.trainer.devices, config.data.input_txt) == ([0, 1], ["a", "b"])
    assert door("train", "-m", "my text.txt", "seed=1").code == door("sample", "a.ckpt").code == 0
    assert door.asked[1].config.data.input_txt == "my text.txt"
    assert door.asked[2].checkpoint == "a.ckpt"
    assert door("sample", "length=3", "top_k=${length}").code == 0
    assert (door.asked[3].length, door.asked[3].top_k) == (3, 3)


def test_every_choice_composes(door: Any) -> None:
    """The first of each group together, then the second of each, and so on."""
    groups = page("train").groups
    together = {name: [*choices] for name, choices in groups.items() if name != "sweep"}
    for n in range(max(map(len, together.values()))):
        words = [f"{name}={choices[n % len(choices)]}" for name, choices in together.items()]
        answer = door("train", *words)  # loggers need packages
        assert answer.code == 0 or re.search("needs the package .*pip install", answer.err), answer


def test_showing_the_config_runs_nothing(door: Any, tmp_path: Path) -> None:
    answer = door("train", "--cfg", "job", "-p", "model", "model=gru")
    assert (answer.code, answer.err) == (0, "")
    assert yaml.safe_load(answer.out)["kind"] == "gru"
    assert "model: gru" in door("train", "--info", "defaults-tree", "model=gru").out
    assert "Hydra" in door("train", "--hydra-help").out
    answer = door("sample", "--cfg=all", "--resolve", "length=7", "top_k=${length}")
    assert "hydra:" in answer.out
    assert "top_k: 7" in answer.out
    assert door.asked == []
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_run(door: Any, tmp_path: Path) -> None:
    assert door("train", "init_from=${x} y", "hydra.run.dir=my run").code == 0
    [asked] = door.asked
    assert (asked.folder, asked.config.init_from) == (tmp_path / "my run", "${x} y")
    assert asked.job.overrides == (r"init_from='\${x} y'",)
    assert asked.job.hydra["run"]["dir"] == "my run"
    assert door("train").code == door("train").code == 0
    first, second = (asked.folder for asked in door.asked[1:])
    shape = r"outputs/train/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d{6}"
    assert re.fullmatch(shape, str(first.relative_to(tmp_path)))
    assert first != second
    assert list(first.iterdir()) == []  # the run records itself, under its lock


def test_only_train_makes_a_folder(door: Any, tmp_path: Path) -> None:
    assert door("sample").code == door("evaluate").code == 0
    assert door("preprocess", "input_txt=a", "--config-dir=.").code == 0
    assert door("convert", "input=a", "output=b.safetensors", "hydra.verbose=false").code == 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_late_leaves_what_was_there(door: Any, tmp_path: Path) -> None:
    door.action = lambda asked: (_ for _ in ()).throw(InputError("a.txt: no such file"))
    assert door("train", "hydra.run.dir=new/run") == (2, "", "charrnn train: a.txt: no such file\n")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    assert door("train", "hydra.run.dir=old/run").code == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "file"]
    (tmp_path / "file").touch()
    for words in (["hydra.run.dir=file/run"], ["-m", "hydra.sweep.dir=file/runs"]):
        answer = door("train", *words)
        assert answer.code == 1
        assert re.fullmatch(r"charrnn train: .*file/runs?: .*\n", answer.err)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a: b"), 2, "a: b"),
        (RunError("disk\x1b[31m\nfull"), 1, r"disk\x1b[31m\nfull"),
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


def test_a_fault_is_told_as_whose_it_is(door: Any) -> None:
    door.action = lambda options: duration("no number")  # type: ignore[arg-type]
    answer = door("sample")
    assert answer.code == 1
    assert "say.py" in answer.err
    assert answer.err.splitlines()[-1].startswith("charrnn sample: this is a fault in charrnn")
    door.action = lambda options: 1 / 0
    answer = door("sample")
    assert answer.code == 1
    assert "front.py" not in answer.err
    said = answer.err.splitlines()[-1]
    assert "test_composing.py:" in said
    assert "ZeroDivisionError: division by zero (in your own code, not in charrnn)" in said


# Hydra's own


def test_inside_of_somebodys_own_hydra_program(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SMALL, "trainer.max_steps=2", "logger=csv"]
    handlers, level = logging.root.handlers[:], logging.root.level
    quiet = ["hydra/job_logging=disabled", "hydra/hydra_logging=disabled"]
    monkeypatch.setattr(sys, "argv", ["theirs.py", *quiet])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    results = []

    def state() -> tuple[Any, ...]:
        output = HydraConfig.get().runtime.output_dir
        root = logging.root
        return GlobalHydra.instance().hydra, output, sys.argv, root.handlers[:], root.level

    @hydra.main(version_base="1.3", config_path=None)
    def theirs(config: Any) -> None:
        before = state()
        results.append(charrnn.train(*words, "hydra.run.dir=inside"))
        assert state() == before

    try:
        theirs()
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
    assert [(result.folder, result.step) for result in results] == [(workplace / "inside", 2)]


def test_from_python_one_run_is_composed(workplace: Path) -> None:
    with pytest.raises(InputError, match=r"^model.hidden_size=0: must be"):
        charrnn.train("model.hidden_size=0")
    for word in ("-m", "--cfg=job", "sweep=random"):
        with pytest.raises(InputError, match="command line"):
            charrnn.train(word)
    assert [path.name for path in workplace.iterdir()] == ["corpus.txt"]


# Files of one's own


def test_each_is_accepted(own: Any, tmp_path: Path) -> None:
    words = [*(f"{group}=mine" for group in GROUPS), "seed=1,2", "hydra.sweep.dir=out"]
    answer = own("train", "-m", *MINE, *words)
    assert answer.code == 0, answer
    config = own.asked[0].config
    assert config.optimizer == {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
    assert config.callbacks["counter"] == {"_target_": "own_parts.Counter", "every": 2}
    assert "checkpoints" in config.callbacks
    assert config.data.input_txt == "mine.txt"
    places = [asked.config.logger["plain"]["save_dir"] for asked in own.asked]
    assert places == [str(tmp_path / "out" / f"{n}_seed={n + 1}") for n in range(2)]
    assert own("train", *MINE, "experiment=slow", "data.input_txt=x").code == 0
    assert own.asked[2].config.schedule["decay_every"] == 3


def test_a_main_config_of_ones_own_that_searches_further(own: Any, tmp_path: Path) -> None:
    (tmp_path / "far" / "model").mkdir(parents=True)
    (tmp_path / "far" / "model" / "far.yaml").write_text(
        "defaults: [/base/model@_here_]\nkind: gru\nhidden_size: 9\n"
    )
    for words in (["--config-name", "nested"], [f"hydra.searchpath=[file://{tmp_path}/far]"]):
        assert own("train", *MINE, *words, "model=far").code == 0
        assert own.asked[-1].config.model.hidden_size == 9


WRONG = [
    ("callbacks", "own_parts.Counter", "own_parts.Conter", "did you mean Counter?"),
    ("callbacks", "own_parts.Counter", "ownparts.Counter", "is it installed, or on PYTHONPATH?"),
    ("schedule", "step_size", "step_sise", "did you mean step_size?"),
    ("data", "0.2", "2", "data.val_frac=2"),
    ("data", "/base/data@_here_", "base", "data=base: no such choice"),
]


def test_a_mistake_is_one_line_and_nothing_is_written(own: Any, tmp_path: Path) -> None:
    for group, right, wrong, says in WRONG:
        path = tmp_path / "mine" / group / "mine.yaml"
        whole = path.read_text()
        path.write_text(whole.replace(right, wrong))
        assert says in own.refuses("train", *MINE, f"{group}=mine")
        path.write_text(whole)
    sys.modules.pop("own_parts", None)
    (tmp_path / "own_parts.py").write_text("1 / 0\n")
    refused = own.refuses("train", *MINE, "callbacks=mine")
    assert "own_parts.Counter: cannot be imported (ZeroDivisionError: division by zero)" in refused
    assert not (tmp_path / "outputs").exists()
