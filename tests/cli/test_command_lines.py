"""Command lines: the options that they set, the run's folder, and how a command ends."""

from __future__ import annotations

import errno
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException

import charrnn
from charrnn.cli import help_page
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.say import format_duration
from tests.cli.door import select
from tests.conftest import Patch, write_files

# files of a user, below the folder of --config-dir
STEP_LR = "{_target_: torch.optim.lr_scheduler.StepLR, _partial_: true, step_size: 10}"
OWN = {
    "optimizer/mine.yaml": "{_target_: torch.optim.SGD, _partial_: true, lr: 0.1}",
    "callbacks/mine.yaml": "defaults: [default]\nc: {_target_: own_parts.Counter, every: 2}",
    "schedule/mine.yaml": STEP_LR,
    "data/mine.yaml": "defaults: [/base/data@_here_]\ninput_txt: mine.txt\nval_frac: 0.2",
    "experiment/slow.yaml": "# @package _global_\ndefaults: [override /schedule: step]\n"
    "schedule: {decay_every: 3}",
}
MINE = "--config-dir mine"

# a line -> some options with their values
LINES: dict[str, dict[str, Any]] = {
    "train": {"data.input_txt": "shakespeare", "model.kind": "lstm"},
    "train model=gru experiment=torch_rnn callbacks=early_stopping logger=none model.dropout=0": {
        "model.kind": "gru",
        "model.dropout": 0,
        "logger": {},
        "callbacks.early_stopping.patience": 5,
        "trainer.gradient_clip_algorithm": "value",
    },
    "train +trainer.accumulate_grad_batches=2 trainer.devices=[0,1] data.input_txt=[a,b]": {
        "trainer.accumulate_grad_batches": 2,
        "trainer.devices": [0, 1],
        "data.input_txt": ["a", "b"],
    },
    "train 'optimizer.lr=${oc.env:LR}' seed=1 seed=2": {"optimizer.lr": 0.25, "seed": 2},
    "train ~logger ~callbacks +vars.x=3": {"logger": {}, "callbacks": {}, "vars.x": 3},
    "train trainer.precision=16": {"trainer.precision": "16"},
    "sample a.ckpt": {"checkpoint": "a.ckpt"},
    "sample length=3 'top_k=${length}'": {"length": 3, "top_k": 3},
    f"train {MINE} optimizer=mine callbacks=mine schedule=mine data=mine": {
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1},
        "callbacks.c": {"_target_": "own_parts.Counter", "every": 2},
        "callbacks.checkpoints.keep_every": None,
        "schedule.step_size": 10,
        "data.input_txt": "mine.txt",
    },
    f"train {MINE} experiment=slow data.input_txt=a=b.txt": {"schedule.decay_every": 3},
}


@pytest.fixture
def own(door: Any, tmp_path: Path, monkeypatch: Patch) -> Iterator[Any]:
    """Return the door in a folder with a --config-dir `mine` and a module on PYTHONPATH."""
    counter = "class Counter:\n    def __init__(self, every=1):\n        self.every = every\n"
    write_files(tmp_path, {"own_parts.py": counter, "a=b.txt": ""})
    write_files(tmp_path / "mine", OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LR", "0.25")
    yield door
    sys.modules.pop("own_parts", None)


@pytest.mark.parametrize("line", LINES)
def test_a_line(line: str, own: Any) -> None:
    answer = own(*shlex.split(line))
    assert answer.code == 0, answer
    [asked] = own.asked
    assert {name: select(asked, name) for name in LINES[line]} == LINES[line]


def test_every_choice_composes(door: Any) -> None:
    """Compose the first choice of each group together, then the second of each, and so on."""
    groups = help_page.read_page("train").groups
    together = {name: [*choices] for name, choices in groups.items() if name != "sweep"}
    for n in range(max(map(len, together.values()))):
        words = [f"{name}={choices[n % len(choices)]}" for name, choices in together.items()]
        assert door("train", *words).code == 0


def test_the_folder_of_a_run(door: Any, tmp_path: Path) -> None:
    assert door("train", "init_from=${x} y", "hydra.run.dir=my run").code == 0
    asked = door.asked.pop()
    assert (asked.folder, asked.config.init_from) == (tmp_path / "my run", "${x} y")
    assert asked.hydra.overrides.task == [r"init_from='\${x} y'"]
    assert door("train", "hydra.run.dir=r/${hydra.job.name}/x").code == 0
    assert door.asked.pop().folder == tmp_path / "r" / "train" / "x"
    assert door("train").code == door("train").code == 0
    first, second = (door.asked.pop().folder for _ in range(2))
    shape = r"outputs/train/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d{6}"
    assert re.fullmatch(shape, str(first.relative_to(tmp_path)))
    assert first != second
    assert list(first.iterdir()) == []  # the run records itself, under its lock


# OmegaConf, for example, may fail where a signal interrupts it
HIDDEN = InputError("no such key")
HIDDEN.__context__ = Interrupted("terminated", 15)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a: b"), 2, "a: b"),
        (RunError("disk\x1b[31m\nfull"), 1, r"disk\x1b[31m\nfull"),
        (Interrupted("saved", 15), 143, "saved"),
        (HIDDEN, 143, "terminated"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "there is too little memory"),
        (RuntimeError("CUDA out of memory. Tried 2 GiB"), 1, "there is too little memory"),
        (OSError(errno.EIO, "Input/output error", "a.txt"), 1, "a.txt: Input/output error"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), 2, "File name too long"),
        (HydraException("Could not\ndo it"), 2, "Could not do it"),
    ],
)
def test_an_exception_ends_a_command_with_its_code_and_line(
    error: BaseException, code: int, line: str, door: Any
) -> None:
    door.action = error
    assert door("sample") == (code, "", f"charrnn sample: {line}\n")


def test_what_lightning_refuses_is_one_line(door: Any) -> None:
    lightning = pytest.importorskip("lightning")
    door.action = lambda options: lightning.Trainer(limit_val_batches=3.5)
    answer = door("sample")
    assert answer.code == 2
    assert "have passed invalid value 3.5 for limit_val_batches" in answer.err.splitlines()[-1]


def test_a_fault_of_charrnns_is_told_as_that(door: Any) -> None:
    door.action = lambda options: format_duration("no number")  # type: ignore[arg-type]
    answer = door("sample")
    assert answer.code == 1
    assert "say.py" in answer.err
    assert answer.err.splitlines()[-1].startswith("charrnn sample: this is a bug in charrnn")


def test_from_python_one_run_is_composed(workplace: Path) -> None:
    with pytest.raises(InputError, match=r"^model.hidden_size=0: must be"):
        charrnn.train("model.hidden_size=0")
    for word in ("-m", "--cfg=job", "sweep=random"):
        with pytest.raises(InputError, match="command line"):
            charrnn.train(word)
    assert [path.name for path in workplace.iterdir()] == ["corpus.txt"]
