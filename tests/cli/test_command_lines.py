"""Command lines: their words, the exit code, and the options that are set or named."""

from __future__ import annotations

import dataclasses
import errno
import inspect
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.errors import HydraException
from hydra.utils import get_method

import charrnn
from charrnn import plugins
from charrnn.cli import help_page
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.options.cells import CELLS
from charrnn.options.ranges import get_annotations, get_schema
from charrnn.options.sampling import SamplingParams
from charrnn.say import format_duration
from tests import REPOSITORY
from tests.cli.door import select
from tests.conftest import Patch, write_files

COMMANDS = list(plugins.list_commands())
PAGE = help_page.read_page("train")
DIGITS = "9" * 5000

# files of a user, below the folder of --config-dir
STEP_LR = "{_target_: torch.optim.lr_scheduler.StepLR, _partial_: true, step_size: 10}"
OWN = {
    "optimizer/mine.yaml": "{_target_: torch.optim.SGD, _partial_: true, lr: 0.1}",
    "callbacks/mine.yaml": "defaults: [default]\nc: {_target_: own_parts.Counter, every: 2}",
    "schedule/mine.yaml": STEP_LR,
    "data/mine.yaml": "defaults: [/base/data@_here_]\ninput_txt: mine.txt\nval_frac: 0.2",
    "experiment/slow.yaml": "# @package _global_\ndefaults: [override /schedule: step]\n"
    "schedule: {decay_every: 3}",
    "hidden/model/gru.yaml": "defaults: [lstm]",
}
MINE = "--config-dir mine"

# the line -> a part of the one line that refuses it; or some options with their values
LINES: dict[str, str | dict[str, Any]] = {
    # what people write
    "train": {"data.input_txt": "shakespeare", "model.kind": "lstm"},
    "train model=gru experiment=torch_rnn callbacks=early_stopping logger=none model.dropout=0": {
        "model.kind": "gru",
        "model.dropout": 0,
        "logger": {},
        "callbacks.early_stopping.patience": 5,
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
    "preprocess 'input_txt=[a'": {"input_txt": "[a"},
    # with files of a user
    f"train {MINE} optimizer=mine callbacks=mine schedule=mine data=mine": {
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1},
        "callbacks.c": {"_target_": "own_parts.Counter", "every": 2},
        "callbacks.checkpoints.keep_every": None,
        "schedule.step_size": 10,
        "data.input_txt": "mine.txt",
    },
    f"train {MINE} experiment=slow data.input_txt=a=b.txt": {"schedule.decay_every": 3},
    # misspelt, or called as elsewhere
    "sample temprature=1": "temprature=1: no such option; did you mean temperature?",
    "sample prompt=abc": "in charrnn its name is start_text",
    "train batch_size=3": "batch_size=3: no such option; did you mean data.batch_size?",
    "train --config-dir mine callbacks=mine callbacks.c.evry=3": "mean callbacks.c.every?",
    "train model=lsm": "model=lsm: no such choice; did you mean lstm?; the choices are ",
    "train data=usr/my.txt": "data=usr/my.txt: no such choice; the choices are shakespeare",
    "train model=null": "Config group override must be a string or a list",
    "train a=b.txt": "a=b.txt: no such option",
    "train callbacks.early_stopping.patience=3": "only callbacks=early_stopping has this option",
    # values
    "sample length=abc": "length=abc: takes a whole number",
    "train model.dropout=x": "model.dropout=x: takes a number",
    "sample temperature=0,5": "To sweep over it, add --multirun",
    "sample temperature=0.2,0.5": "To sweep over it, add --multirun",
    "sample length=3 foo": "foo: write options as NAME=VALUE",
    "sample 'start_text=a seed=1' lenth=3": "lenth=3: no such option",
    "train a.txt /usr": "/usr: write options as NAME=VALUE",
    "train my novel.txt": "novel.txt: write options as NAME=VALUE, with quotes around spaces",
    "preprocess": "input_txt is required",
    "convert input=x output=a.html": "output=a.html: must end in .safetensors",
    "train seed=-1": "train: seed=-1: must be between 0 and",
    "sample 'seed=${nope}'": "Interpolation key 'nope' not found",
    # words that Lightning's users try
    "train trainer.max_steps=null": "trainer.max_steps=null: takes a whole number",
    "train trainer.precision=tf32-true": "trainer.precision=tf32-true: must be one of 32-true, ",
    "train trainer.val_check_interval=0": "validate_every=0 turns validation off",
    "train model.optimizer.lr=1": "did you mean optimizer.lr?",
    "train resume=x init_from=y": "init_from=y: resume= restores everything",
    "train -m resume=x seed=1,2": "resume=x: to continue a sweep, give hydra.sweep.dir",
    "train resume=auto": "resume=auto: needs a folder; add hydra.run.dir=FOLDER",
    # whole sweeps, by one line
    "train -m 'my novel.txt' no.txt none.txt": (
        "charrnn train: no.txt: no such file; name a file, a folder or a glob\n"
    ),
    "train -m 'my novel.txt,no.txt'": "my novel.txt,no.txt: no such file",
    "train -m model.hidden_size=1,2 sed=1": "did you mean seed?",
    "train -m model=lsm,gru": "model=lsm: no such choice; did you mean lstm?",
    # folders and flags
    "train hydra.run.dir=": "hydra.run.dir=: takes a folder",
    "train 'hydra.run.dir=a${b}'": "hydra.run.dir: Interpolation key 'b' not found",
    "train --config-dir no/such": "no/such' not found",
    "train --cfg": "--cfg: needs a value after it",
    "sample --top_k 5": "--top_k: no such flag",
    # what is built
    "train +trainer.callbacks=[]": "+callbacks.NAME._target_=CLASS adds one",
    "train trainer.profiler=simple": "not in conf/ needs a plus: +trainer.profiler=simple",
    "train optimizer=adam +optimizer.momentum=0.5": "torch.optim.Adam takes no momentum",
    "train optimizer._target_=torch.optim.Adm": "has no attribute 'Adm'; did you mean Adam?",
    "train ~schedule": "model.schedule: Interpolation key 'schedule' not found",
    "train +callbacks.mine.x=1": "callbacks.mine._target_=null: takes the dotted name",
    # what only a hostile person writes
    f"sample length={DIGITS}": "Exceeds the limit",
    "sample " + "x" * 50_000 + "=1": "",
    "sample length=" + "[" * 5000: "no viable alternative at input",
    "train hydra.run.dir=\"'${now:" + "x" * 50_000 + "}'\"": "",
    "train +x=" + "{a:" * 400 + "1" + "}" * 400: "",
}

# a file of a group -> a part of the line with which `train GROUP=broken` is refused
GLOBAL = "# @package _global_\n"
BROKEN = {
    ("experiment", GLOBAL + "model: {hidden_size: many}"): "model.hidden_size=many: takes a whole",
    ("experiment", GLOBAL + "model: [unclosed"): "broken.yaml",
    ("experiment", GLOBAL + "defaults: [override /model: lsm]"): "did you mean lstm?",
    (
        "experiment",
        "model: {hidden_size: 3}",
    ): "experiment={'model': {'hidden_size': 3}}: no such option",
    ("callbacks", "c: {_target_: own_parts.Conter}"): "did you mean Counter?",
    ("callbacks", "c: {_target_: bad_parts.C}"): "bad_parts.C: cannot be imported (ZeroDivision",
    ("data", OWN["data/mine.yaml"].replace("0.2", "2")): "data.val_frac=2",
    ("data", "defaults: [base]"): "data=base: no such choice",
}


@pytest.fixture
def own(door: Any, tmp_path: Path, monkeypatch: Patch) -> Iterator[Any]:
    """Return the door in a folder with a --config-dir `mine` and modules on PYTHONPATH."""
    counter = "class Counter:\n    def __init__(self, every=1):\n        self.every = every\n"
    texts = {"a=b.txt": "", "my novel.txt": ""}
    write_files(tmp_path, {"own_parts.py": counter, "bad_parts.py": "1 / 0\n", **texts})
    write_files(tmp_path / "mine", OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LR", "0.25")
    yield door
    sys.modules.pop("own_parts", None)


@pytest.mark.parametrize("line", LINES, ids=[line[:60] for line in LINES])
def test_a_line(line: str, own: Any, tmp_path: Path) -> None:
    says, words = LINES[line], shlex.split(line)
    before = {*tmp_path.iterdir(), tmp_path / "__pycache__"}
    if isinstance(says, str):
        refused = own.refuses(*words)
        assert refused.startswith(f"charrnn {words[0]}: ")
        assert says in refused
        assert len(refused) < 1500
        assert {*tmp_path.iterdir()} <= before
    else:
        answer = own(*words)
        assert answer.code == 0, answer
        [asked] = own.asked
        assert {name: select(asked, name) for name in says} == says
        made = {"outputs"} if words[0] == "train" else set()
        assert {path.name for path in {*tmp_path.iterdir()} - before} == made


def test_no_job_changes_the_working_directory(door: Any) -> None:
    assert "hydra.job.chdir=true: charrnn does not" in door.refuses("train", "hydra.job.chdir=true")


@pytest.mark.parametrize(("group", "text"), BROKEN)
def test_a_fault_in_a_file_of_ones_own(group: str, text: str, own: Any, tmp_path: Path) -> None:
    (tmp_path / "mine" / group / "broken.yaml").write_text(text)
    refused = own.refuses("train", f"{group}=broken", "--config-dir", "mine")
    assert BROKEN[group, text] in refused
    assert not (tmp_path / "outputs").exists()


def test_every_choice_composes(door: Any) -> None:
    """Yield the first of each group together, then the second of each, and so on."""
    together = {name: [*choices] for name, choices in PAGE.groups.items() if name != "sweep"}
    for n in range(max(map(len, together.values()))):
        words = [f"{name}={choices[n % len(choices)]}" for name, choices in together.items()]
        assert door("train", *words).code == 0


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("train --cfg job -p model model=gru", "kind: gru"),
        ("train --info defaults-tree model=gru", "model: gru"),
        ("train --hydra-help", "Hydra"),
        ("sample --cfg=all --resolve length=7 top_k=${length}", "top_k: 7"),
    ],
)
def test_showing_the_config_runs_nothing(line: str, shown: str, door: Any, tmp_path: Path) -> None:
    answer = door(*line.split())
    assert (answer.code, answer.err, shown in answer.out) == (0, "", True)
    assert door.asked == []
    assert list(tmp_path.iterdir()) == []


# The folder of a run


def test_the_folder_of_a_run(door: Any, tmp_path: Path) -> None:
    assert door("train", "init_from=${x} y", "hydra.run.dir=my run").code == 0
    asked = door.asked.pop()
    assert (asked.folder, asked.config.init_from) == (tmp_path / "my run", "${x} y")
    assert asked.hydra.overrides.task == [r"init_from='\${x} y'"]
    assert asked.hydra.run.dir == "my run"
    assert door("train", "hydra.run.dir=r/${hydra.job.name}/x").code == 0
    assert door.asked.pop().folder == tmp_path / "r" / "train" / "x"
    assert door("train").code == door("train").code == 0
    first, second = (door.asked.pop().folder for _ in range(2))
    shape = r"outputs/train/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d{6}"
    assert re.fullmatch(shape, str(first.relative_to(tmp_path)))
    assert first != second
    assert list(first.iterdir()) == []  # the run records itself, under its lock


# How a command ends

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
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
            1,
            "there is too little memory",
        ),
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
    monitored = lightning.pytorch.callbacks.EarlyStopping("nope")  # raises a RuntimeError
    door.action = lambda options: monitored._validate_condition_metric({})
    assert "`nope` which is not available" in door("sample").err.splitlines()[-1]


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


# conf/, as a person reads it, as Hydra composes it, as --help prints it, and Python's defaults


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, dict) and value
        result |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return result


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def defaults_of(options: dict[str, help_page.Option]) -> dict[str, Any]:
    return {name: yaml.safe_load(option.default) for name, option in options.items()}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command(command: str, door: Any, monkeypatch: Patch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # no line is wrapped
    page = help_page.read_page(command)
    assert page.title
    assert all(f"charrnn {command} " in f"{example} " for example in page.examples)
    composed = flat(yaml.safe_load(door(command, "--cfg", "job").out))
    chosen = {n: o for n, o in page.options.items() if not (o.only or n.startswith("hydra."))}
    shown = defaults_of(chosen)
    # an option that refers to another one of the page needs no line
    composed = {n: v for n, v in composed.items() if n in shown or not is_reference(v)}
    composed = {n: v for n, v in composed.items() if n.rpartition(".")[2][0] != "_"}
    assert shown.keys() == composed.keys()
    for name, value in composed.items():
        assert value == shown[name] or float(value) == float(shown[name]), name
    # printed
    assert f"  {command:<12}{page.title}" in help_page.format_overview().splitlines()
    lines = help_page.format_help(command).splitlines()
    for name, option in page.options.items():
        default = "" if option.default == "???" else f"{option.default} "
        [line] = [line for line in lines if line.startswith(f"  {name}={default}")]
        assert option.explanation
        assert option.explanation in line
    for group, choices in page.groups.items():
        for choice, explanation in choices.items():
            [line] = [line for line in lines if line.startswith(f"  {group}={choice} ")]
            assert explanation
            assert line.endswith(explanation)


def test_every_line_of_a_choice_has_a_comment_which_the_help_prints() -> None:
    groups = PAGE.groups.keys() - help_page.WITHOUT_A_NODE
    for path in [f"{group}/{name}.yaml" for group in groups for name in PAGE.groups[group]]:
        for name, option in help_page._read_choice(plugins.CONF / path).items():
            is_hidden = name.rpartition(".")[2][0] == "_" or is_reference(option.default)
            assert option.explanation or is_hidden, (path, name)


def test_the_pages_name_every_sampling_param() -> None:
    page = (REPOSITORY / "docs" / "sampling.md").read_text("utf-8")
    names = [field.name for field in dataclasses.fields(SamplingParams)]
    assert [name for name in names if f"{name}=" not in page] == []


def test_the_kinds_of_models_are_choices() -> None:
    default, explanation, _ = PAGE.options["model.kind"]  # laid over its base
    assert default == "lstm"
    assert set(explanation.replace(" or ", ", ").split(", ")) == CELLS.keys()
    assert {*CELLS} <= {*PAGE.groups["model"]}


# Each choice is one of them, and Lightning's patience is 3.
DIFFERENT = {"model.kind", "kind", "data.input_txt", "input_txt", "early_stopping.patience"}


def python_defaults(called: Any, prefix: str = "") -> dict[str, Any]:
    parameters = inspect.signature(called).parameters.items()
    return {prefix + n: p.default for n, p in parameters if p.default is not p.empty}


def pair_defaults() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the defaults of options by their names, in YAML and in Python."""
    for command in COMMANDS:
        schema = plugins.get_command(command).get("OPTIONS")
        known, shown = python_defaults(schema), defaults_of(help_page.read_page(command).options)
        for name, hint in get_annotations(schema).items():
            if (kind := get_schema(hint)) is not None:
                known |= python_defaults(kind, f"{name}.")
        yield shown, known
    for group in ("data", "model", "optimizer", "schedule", "callbacks", "logger"):
        for file in (plugins.CONF / group).glob("*.yaml"):
            shown = defaults_of(help_page._read_choice(file))
            for name, target in shown.items():
                if name.endswith("_target_") and target.startswith("charrnn."):
                    yield shown, python_defaults(get_method(target), name.removesuffix("_target_"))


def test_a_default_is_the_same_in_yaml_and_in_python() -> None:
    both = [*pair_defaults()]
    pairs = [(name, s[name], known[name]) for s, known in both for name in s if name in known]
    assert len(pairs) > 90
    for option, shown, default in pairs:
        if not is_reference(shown) and option not in DIFFERENT:
            same = shown == (list(default) if isinstance(default, tuple) else default)
            assert same or float(shown) == float(default), option
