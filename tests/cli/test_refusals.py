"""What a mistyped command line gets: one line that names it and helps on."""

from __future__ import annotations

from typing import Any

import pytest

from charrnn.cells import CELLS
from charrnn.cli.checked_options import hints_of, takes
from charrnn.cli.node_options import DataOptions, TrainerOptions
from charrnn.cli.refusals import nearest
from charrnn.options.commands import SampleOptions

# of the group model, its default first
KINDS = sorted(CELLS)
CHOICES = ", ".join(sorted(KINDS, key=lambda kind: (kind != "lstm", kind)))
LINES = [
    ("sample temprature=1", "temprature=1: no such option; did you mean temperature?"),
    ("train batch_size=3", "batch_size=3: no such option; did you mean data.batch_size?"),
    ("train model.hiden_size=3", "did you mean model.hidden_size?"),
    ("train modle.hidden_size=3", "did you mean model.hidden_size?"),
    ("train model={hidden_sise:3}", "did you mean model.hidden_size?"),
    ("train modle=gru", "did you mean model?"),
    ("sample data=x", "data=x: no such option"),
    ("train hydra.foo=1", "hydra.foo=1: no such option"),
    (
        "train model=lsm",
        f"model=lsm: no such choice; did you mean lstm? There are: {', '.join(KINDS)}",
    ),
    ("train experiment=nope", "experiment=nope: no such choice"),
    ("train model=null", f"model=null: takes one of {CHOICES}"),
    ("train ~model", f"~model: cannot be removed; takes one of {CHOICES}"),
    ("train +experiment=demo", "+experiment=demo: is an option already"),
    ("sample length=abc", "length=abc: takes a whole number"),
    ("sample length=1.5", "length=1.5: takes a whole number"),
    ("sample length=null", "length=null: takes a whole number"),
    ("train model.dropout=x", "model.dropout=x: takes a number"),
    ("train model.skip=null", "model.skip=null: takes a text"),
    ("train model.skip=all", "model.skip=all: must be one of none, sum"),
    ("train trainer.max_steps=x", "trainer.max_steps=x: takes a whole number or null"),
    ("evaluate json=maybe", "json=maybe: takes true or false"),
    ("train model.hidden_size=32,64", "model.hidden_size=32,64: several values are a sweep"),
    ("sample length=range(1,3)", "length=range(1,3): several values are a sweep"),
    ("sample foo", "foo: options are written NAME=VALUE"),
    ("sample length=(3", "length=(3: cannot be read in Hydra's grammar"),
    ("preprocess input_txt=[a", None),
    ("preprocess input_txt=[a b(,c]", "input_txt=[a b(,c]: cannot be read"),
    ("preprocess", "input_txt is required"),
    ("convert inptu=x", "inptu=x: no such option; did you mean input?"),
    ("convert +inptu=x", "+inptu=x: no such option; did you mean input?"),
    ("convert input=x", "output is required"),
    (
        "convert input=x output=a.html",
        "output=a.html: must end in .safetensors (a model file); `charrnn export` writes pages",
    ),
    ("sample ~length", "length: cannot be left out"),
    ("sample seed=${nope}", "seed=${nope}: Interpolation key 'nope' not found"),
    ("sample seed=${oc.env:CHARRNN_NO_SUCH}", "CHARRNN_NO_SUCH"),
    ("train hydra.searchpath=[file:///no/such]", "/no/such is not available"),
    ("train hydra.run.dir=", "hydra.run.dir=: takes a folder"),
    ("train hydra.run.dir=a${b}", "hydra.run.dir=a${b}: Hydra cannot make"),
    ("train --config-dir no/such", "--config-dir no/such: is no folder"),
    ("train -cn nope", "nope: no such file"),
    ("train --cfg", "--cfg"),
    ("train --cfg jobs", "jobs"),
    ("train --cfg job -p nope", "--package nope: no such part"),
    ("train -p model", "--package and --resolve go with --cfg"),
    ("train -m --cfg job", "-m and --cfg: give one of them"),
    ("sample --temperature 0.5", "--temperature: no such flag"),
    ("train model.dropout=1", "model.dropout=1.0: must be at least 0 and below 1"),
    ("train model.hidden_size=-1", "model.hidden_size=-1: must be 1 or more"),
    ("sample temperature=nan", "temperature=nan"),
    ("sample length=-1", "length=-1"),
    ("preprocess input_txt=x val_frac=0.5 test_frac=0.5", "test_frac"),
    ("preprocess input_txt=x encoding=utf-9", "encoding=utf-9"),
    ("evaluate data.input_h5=x", "data.input_json"),
    # what is added where nothing takes it
    ("sample +temprature=0.1", "+temprature=0.1: no such option; did you mean temperature?"),
    ("sample ++temprature=0.1", "++temprature=0.1: no such option; did you mean temperature?"),
    ("sample ++x=1", "++x=1: no such option"),
    ("evaluate +trainer.foo=1", "+trainer.foo=1: no such option"),
    ("evaluate +data.input_text=x", "did you mean data.input_txt?"),
    ("train +sed=1", "+sed=1: no such option; did you mean seed?"),
    ("train +model.hiden_size=3", "did you mean model.hidden_size?"),
    ("train +foo.bar=3", "+foo.bar=3: no such option"),
    ("train ~schedule", "~schedule: cannot be removed; takes one of linear, constant, cosine"),
    # any argument of lightning.Trainer, but those that are charrnn's to give
    ("train +trainer.log_every_n_steps=5", "print_every= is this number"),
    ("train trainer.log_every_n_steps=5", "print_every= is this number"),
    ("train +trainer.callbacks=[]", "+callbacks.NAME._target_=CLASS adds one"),
    ("train +trainer.acumulate_grad_batches=2", "did you mean accumulate_grad_batches?"),
    ("train trainer.profiler=simple", "trainer.profiler=simple: is not set yet; write +trainer"),
    ("train callbacks.early_stopping.patience=3", "callbacks=early_stopping has it"),
    ("train optimizer=adam optimizer.momentum=0.5", "torch.optim.Adam takes no momentum"),
    (
        "train optimizer=adam optimizer.amsgrad=true",
        "is not set yet; write +optimizer.amsgrad=true",
    ),
    # Hydra's own
    ("train hydra.launcher.n_job=1", "hydra.launcher.n_job=1: no such option"),
    ("train hydra.sweeper.max_batch_sise=1", "did you mean hydra.sweeper.max_batch_size?"),
    ("train hydra.job.nam=x", "did you mean hydra.job.name?"),
    ("train hydra/launcher=jobli", "hydra/launcher=jobli: no such choice"),
    # what is built
    ("train optimizer._target_=torch.optim.Mon", "no Mon in torch.optim; did you mean Muon?"),
    ("train optimizer._target_=trch.SGD", "there is no module trch"),
    ("train optimizer._target_=3", "takes the dotted name of what is built"),
    ("train +callbacks.mine.x=1", "callbacks.mine._target_ is required"),
    ("train +callbacks.mine=3", "callbacks.mine"),
    (
        "train +callbacks.es._target_=lightning.pytorch.callbacks.EarlyStopping",
        "callbacks.es.monitor is required",
    ),
]

DIGITS = "9" * 5000

# numbers and names that only a hostile person writes
HOSTILE = [
    ("sample", f"length={DIGITS}", "too large a number"),
    ("sample", f"length=-{DIGITS}", "too large a number"),
    ("sample", "length=" + "9" * 30, "is too large a number"),
    ("sample", f"temperature={DIGITS}", "too large a number"),
    ("train", f"model.hidden_size={DIGITS}", "too large a number"),
    ("train", f"+trainer.accumulate_grad_batches={DIGITS}", "too large a number"),
    ("train", "hydra.run.dir=a\0b", "holds a NUL"),
    ("sample", "checkpoint=a\0b", "holds a NUL"),
    ("train", "data.input_txt=a\0b", "holds a NUL"),
    ("sample", "length=\0", "length="),
    ("sample", "engine=" + "x" * 50_000, "must be one of auto"),
    ("sample", "x" * 50_000 + "=1", "no such option"),
    ("sample", "length=" + "[" * 5000, "cannot be read"),
    ("train", "model=" + "x" * 50_000, "no such choice"),
    ("train", "hydra.run.dir=${now:" + "x" * 50_000, "hydra.run.dir="),
]


@pytest.mark.parametrize(("line", "says"), LINES, ids=[line for line, _ in LINES])
def test_one_line_that_helps(line: str, says: str | None, door: Any) -> None:
    words = line.split(" ") if "[a b" not in line else line.split(" ", 1)
    if says is None:
        assert door(*words).code == 0
        return
    refused = door.refuses(*words)
    assert refused.startswith(f"charrnn {words[0]}: ")
    assert says in refused


@pytest.mark.parametrize(
    ("command", "word", "says"), HOSTILE, ids=[f"{c} {w[:30]!a}" for c, w, _ in HOSTILE]
)
def test_one_line_for_what_only_a_hostile_person_writes(
    command: str, word: str, says: str, door: Any, tmp_path: Any
) -> None:
    refused = door.refuses(command, word)
    assert says in refused
    assert len(refused) < 1500
    assert list(tmp_path.iterdir()) == []


def test_the_traceback_is_there_for_who_asks(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    answer = door("train", "model.hiden_size=3")
    assert answer.code == 2
    assert "Traceback (most recent call last)" in answer.err
    last = answer.err.splitlines()[-1]
    assert last.startswith("charrnn train: model.hiden_size=3: no such option")


def test_a_refused_run_leaves_nothing_behind(door: Any, tmp_path: Any) -> None:
    door.refuses("train", "model.hidden_size=-1")
    door.refuses("train", "model=lsm")
    door.refuses("train", "-m", "model.hidden_size=-1,0")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_in_a_file_of_ones_own(door: Any, tmp_path: Any) -> None:
    mine = tmp_path / "mine" / "experiment"
    mine.mkdir(parents=True)
    for text, says in (
        (
            "# @package _global_\nmodel:\n  hidden_size: many\n",
            "mine/experiment/broken.yaml: model.hidden_size=many: takes a whole number",
        ),
        (
            "# @package _global_\nmodel:\n  hiden_size: 3\n",
            "mine/experiment/broken.yaml: model.hiden_size=3: no such option; did you mean model.h",
        ),
        ("# @package _global_\nsed: 3\n", "mine/experiment/broken.yaml: sed=3: no such option"),
        ("model:\n  hidden_size: 3\n", "broken.yaml: its first line must be # @package _global_"),
        ("# @package _global_\nmodel: [unclosed\n", "broken.yaml"),
        ("# @package _global_\ndefaults:\n  - override /model: lsm\n", "did you mean lstm?"),
    ):
        (mine / "broken.yaml").write_text(text)
        assert says in door.refuses("train", "experiment=broken", "--config-dir", "mine")


@pytest.mark.parametrize("depth", [100, 400])
def test_what_is_nested_deeply(door: Any, depth: int) -> None:
    mapping = "{a:" * depth + "1" + "}" * depth
    for override in (f"+x={mapping}", f"+trainer.x={mapping}", "seed=" + "[" * depth + "]" * depth):
        assert len(door.refuses("train", override)) < 600


def test_what_an_option_takes() -> None:
    data, trainer, sample = map(hints_of, (DataOptions, TrainerOptions, SampleOptions))
    assert takes(data["batch_size"]) == "takes a whole number or null"
    assert takes(trainer["gradient_clip_val"]) == "takes a number or null"
    assert takes(sample["until"]) == "takes a text or null"
    assert takes(trainer["devices"]) == ""


def test_the_nearest_name() -> None:
    names = ["model", "model.hidden_size", "data.val_frac", "checkpoint"]
    assert "model.hidden_size" in nearest("hiden_size", names)
    assert "checkpoint?" in nearest("chekpoint", names)
    assert "did you mean" not in nearest("xyzzy", names)
