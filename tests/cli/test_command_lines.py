"""Command lines: the options that they set, the run's folder, and how a command ends."""

from __future__ import annotations

import errno
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException
from lightning.fabric.utilities.exceptions import MisconfigurationException

import charrnn
from charrnn.cli import help_page
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.say import format_duration
from tests.cli.door import select
from tests.conftest import Patch

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
    "sample a.ckpt 'top_k=${length}'": {"checkpoint": "a.ckpt", "top_k": 2000},
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_sets_these_options(line: str, door: Any, monkeypatch: Patch) -> None:
    monkeypatch.setenv("LR", "0.25")
    answer = door(*shlex.split(line))
    assert answer.code == 0, answer
    [asked] = door.asked
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
        (MisconfigurationException("`a` and `b`"), 2, "`a` and `b`"),
    ],
)
def test_an_exception_ends_a_command_with_its_code_and_line(
    error: BaseException, code: int, line: str, door: Any
) -> None:
    door.action = error
    for command in ("sample", "train"):  # composed alone, and by hydra.main
        assert door(command) == (code, "", f"charrnn {command}: {line}\n")


def test_a_closed_pipe_is_no_failure(door: Any) -> None:
    door.action = BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert door("sample") == door("train") == (0, "", "")


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
