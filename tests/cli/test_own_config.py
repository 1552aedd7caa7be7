"""What a user's own YAML files and classes may add, and how a mistake in them is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from charrnn.cells import CELLS

FILES = {
    "optimizer/mine.yaml": "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.1\n",
    "callbacks/mine.yaml": (
        "defaults:\n  - default\n\ncounter:\n  _target_: own_parts.Counter\n  every: 2\n"
    ),
    "logger/mine.yaml": (
        "plain:\n  _target_: lightning.pytorch.loggers.CSVLogger\n  name: plain\n"
    ),
    "schedule/mine.yaml": (
        "_target_: torch.optim.lr_scheduler.StepLR\n_partial_: true\nstep_size: 10\n"
    ),
    "data/mine.yaml": (
        f"defaults:\n  - /base/data@_here_\n\nurl: http://localhost/mine.txt\nsha256: {'ab' * 32}\n"
    ),
}
MODULE = "class Counter:\n    def __init__(self, every=1):\n        self.every = every\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A --config-dir `mine` in a folder, and a module on PYTHONPATH."""
    where = tmp_path / "own"
    for name, text in FILES.items():
        path = where / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (where / "own_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(where)
    monkeypatch.chdir(where)
    yield where
    sys.modules.pop("own_parts", None)


@pytest.fixture
def front(door: Any, own: Path) -> Any:
    """The door, in that folder."""
    return door


MINE = ("--config-dir", "mine")


def test_each_is_accepted(front: Any) -> None:
    groups = ["optimizer=mine", "callbacks=mine", "logger=mine", "schedule=mine", "data=mine"]
    answer = front("train", *MINE, *groups)
    assert answer.code == 0, answer
    [asked] = front.asked
    assert asked.config.optimizer == {
        "_target_": "torch.optim.SGD",
        "_partial_": True,
        "lr": 0.1,
    }
    assert asked.config.callbacks["counter"] == {"_target_": "own_parts.Counter", "every": 2}
    assert "checkpoints" in asked.config.callbacks
    assert asked.config.logger["plain"]["name"] == "plain"
    assert asked.config.data.sha256 == "ab" * 32
    named = ("optimizer", "callbacks", "logger", "schedule", "data")
    assert {group: asked.choices[group] for group in named} == dict.fromkeys(named, "mine")
    assert asked.flags == MINE


WRONG = [
    ("optimizer", "torch.optim.SGD", "torch.optim.SDG", "no SDG in torch.optim; did you mean SGD?"),
    ("optimizer", "torch.optim.SGD", "torhc.optim.SGD", "there is no module torhc"),
    ("optimizer", "lr: 0.1", "momentun: 0.9", "optimizer.momentun=0.9: torch.optim.SGD takes no"),
    ("optimizer", "lr: 0.1", "lr: fast", "optimizer.lr=fast: takes a number"),
    ("callbacks", "own_parts.Counter", "own_parts.Conter", "did you mean Counter?"),
    ("callbacks", "own_parts.Counter", "ownparts.Counter", "is it installed, or on PYTHONPATH?"),
    ("callbacks", "every: 2", "evry: 2", "own_parts.Counter takes no evry; did you mean every?"),
    ("logger", "CSVLogger", "CVSLogger", "did you mean CSVLogger?"),
    ("logger", "name: plain", "nam: plain", "takes no nam; did you mean name?"),
    ("schedule", "StepLR", "StpLR", "did you mean StepLR?"),
    ("schedule", "step_size", "step_sise", "did you mean step_size?"),
    ("data", "sha256", "sha265", "data.sha265"),
    ("data", "ab" * 32, "ab" * 31, "64 hexadecimal digits"),
]


@pytest.mark.parametrize(
    ("group", "right", "wrong", "says"), WRONG, ids=[f"{g} {w[:20]}" for g, _, w, _ in WRONG]
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    group: str, right: str, wrong: str, says: str, front: Any, own: Path
) -> None:
    path = own / "mine" / group / "mine.yaml"
    path.write_text(path.read_text().replace(right, wrong))
    refused = front.refuses("train", *MINE, f"{group}=mine")
    assert says in refused
    assert refused.startswith(f"charrnn train: mine/{group}/mine.yaml: ")
    assert sorted(path.name for path in own.iterdir() if path.name != "__pycache__") == [
        "mine",
        "own_parts.py",
    ]


def test_an_argument_that_the_file_does_not_set(front: Any) -> None:
    words = [*MINE, "optimizer=mine"]
    assert "did you mean optimizer.momentum?" in front.refuses(
        "train", *words, "optimizer.momentun=1"
    )
    refused = front.refuses("train", *words, "optimizer.momentum=0.9")
    assert "is not set yet; write +optimizer.momentum=0.9" in refused
    assert front("train", *words, "+optimizer.momentum=0.9").code == 0
    assert front.asked[0].config.optimizer["momentum"] == 0.9


def test_a_module_that_fails_as_it_is_imported(front: Any, own: Path) -> None:
    (own / "own_parts.py").write_text("1 / 0\n")
    refused = front.refuses("train", *MINE, "callbacks=mine")
    assert "own_parts cannot be imported (ZeroDivisionError: division by zero)" in refused


def test_the_trainers_other_arguments(front: Any) -> None:
    answer = front("train", "+trainer.profiler=simple", "--cfg", "job")
    assert (answer.code, answer.err) == (0, "")
    assert yaml.safe_load(answer.out)["trainer"]["profiler"] == "simple"
    words = ["+trainer.accumulate_grad_batches=2", "+trainer.max_time=00:00:01:00"]
    assert front("train", *words).code == 0
    trainer = front.asked[0].config.trainer
    assert trainer.rest["accumulate_grad_batches"] == 2
    assert trainer.rest["max_time"] == "00:00:01:00"


def test_a_variable_of_the_environment_becomes_a_number(
    front: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LR", "0.25")
    answer = front("train", "optimizer.lr=${oc.env:LR}", "--cfg", "job", "--resolve")
    assert yaml.safe_load(answer.out)["optimizer"]["lr"] == 0.25
    assert front("train", "optimizer.lr=${oc.env:LR}").code == 0
    assert front.asked[0].config.optimizer["lr"] == 0.25
    assert front.asked[0].config.optimizer["lr"].__class__ is float


def test_every_choice_of_a_group(front: Any) -> None:
    assert front("train", "-m", "model=glob(*)").code == 0
    kinds = {asked.config.model.kind for asked in front.asked}
    assert kinds == set(CELLS)
    assert len(front.asked) == len(kinds)


def test_an_experiment_and_a_text_of_ones_own_are_both_given(front: Any) -> None:
    assert (
        front("train", "experiment=torch_rnn", "data.input_txt=x", "+trainer.profiler=null").code
        == 0
    )
    given = front.asked[0].given
    assert {"data", "data.input_txt", "data.batch_size", "trainer.profiler", "model"} <= set(given)
    assert "experiment" not in given
    assert front("train", "experiment=[demo,small]", "data.input_txt=x").code == 0
    assert {"model.hidden_size", "trainer.max_steps", "optimizer.lr"} <= set(front.asked[1].given)
    assert front("train", "data.corpus=shakespeare", "data.input_txt=x").code == 0
    assert set(front.asked[2].given) == {"data.corpus", "data.input_txt"}


def test_two_texts_that_were_both_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.txt").write_text("to be or not to be " * 50)
    assert main(["train", "data.corpus=shakespeare", "data.input_txt=my.txt"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "charrnn train: data.corpus=shakespeare: data.input_txt says which text it is already; "
        "give one of the two\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["my.txt"]


def test_an_experiment_whose_group_is_another_on_the_command_line(front: Any, own: Path) -> None:
    experiment = own / "mine" / "experiment" / "slow.yaml"
    experiment.parent.mkdir()
    experiment.write_text(
        "# @package _global_\ndefaults:\n  - override /schedule: step\n"
        "schedule:\n  decay_every: 3\n"
    )
    words = ("train", *MINE, "experiment=slow", "data.input_txt=x")
    assert front(*words).code == 0
    answer = front(*words, "schedule=cosine")
    assert answer.code == 2
    assert "slow.yaml: schedule.decay_every=3: no such option with schedule=cosine; " in answer.err
    assert front("train", "experiment=torch_rnn", "schedule=cosine", "data.input_txt=x").code == 0


def test_a_file_that_a_file_names_and_that_is_missing_is_told_with_both(
    front: Any, own: Path
) -> None:
    path = own / "mine" / "data" / "mine.yaml"
    path.write_text("defaults: [base]\nurl: http://localhost/mine.txt\n")
    error = front.refuses("train", *MINE, "data=mine")
    assert "mine/data/mine.yaml: its defaults list names data/base, and there is no such" in error
    assert "no such choice; did you mean" in front.refuses("train", *MINE, "data=mime")


def test_a_runs_config_has_its_place(front: Any) -> None:
    for value in ("null", "elsewhere"):
        error = front.refuses("train", f"hydra.output_subdir={value}")
        assert f"hydra.output_subdir={value}: a run's config is always in" in error
