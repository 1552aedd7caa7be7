"""What a mistyped command line gets: one line that names it and helps on, and the exit code 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.cli.conf import page
from charrnn.models import model_file
from charrnn.networks.cells import CELLS
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model

CHOICES = ", ".join(page("train").groups["model"])
DIGITS = "9" * 5000
# words -> a part of the line; None: it is accepted
LINES = {
    # misspelt, or called as elsewhere
    "sample temprature=1": "temprature=1: no such option; did you mean temperature?",
    "sample prompt=abc": "here it is start_text",
    "train batch_size=3": "batch_size=3: no such option; did you mean data.batch_size?",
    "train model.hiden_size=3": "model.hiden_size=3: no such option; did you mean model.hidden_s",
    "train model={hidden_sise:3}": "did you mean model.hidden_size?",
    "train hydra.foo=1": "hydra.foo=1: no such option",
    "train model=lsm": "model=lsm: no such choice; did you mean lstm?; there are ",
    "train hydra/launcher=jobli": "hydra/launcher=jobli: no such choice",
    "train data=usr/my.txt": "data=usr/my.txt: no such choice; there are shakespeare",
    "train model=null": f"model=null: takes one of {CHOICES}",
    "train +experiment=demo": "+experiment=demo: is an option already",
    "train callbacks.early_stopping.patience=3": "callbacks=early_stopping has it",
    # values
    "sample length=abc": "length=abc: takes a whole number",
    "sample length=null": "length=null: takes a whole number",
    "train model.dropout=x": "model.dropout=x: takes a number",
    "train model.skip=all": "model.skip=all: must be one of none, ",
    "train trainer.max_steps=x": "trainer.max_steps=x: takes a whole number or null",
    "evaluate json=maybe": "json=maybe: takes true or false",
    "sample temperature=0,5": "a number is written with a point: temperature=0.5",
    "sample temperature=0.2,0.5": "several values are a sweep and need -m",
    "sample length=3 foo": "foo: options are written NAME=VALUE",
    "train a.txt /usr": "/usr: several paths are one list: [one,two]",
    "sample length=(3": "length=(3: cannot be read in Hydra's grammar",
    "preprocess input_txt=[a": None,
    "preprocess input_txt=[a(,c]": "input_txt=[a(,c]: cannot be read",
    "preprocess": "input_txt is required",
    "convert input=x output=a.html": "output=a.html: must end in .safetensors",
    "sample ~length": "length: cannot be left out",
    "sample seed=${nope}": "Interpolation key 'nope' not found",
    "sample seed=${oc.env:CHARRNN_NO_SUCH}": "CHARRNN_NO_SUCH",
    "train resume=x init_from=y": "init_from=y: resume= goes on with everything",
    "train hydra.job.chdir=true": "hydra.job.chdir=true: charrnn stays in the folder",
    "train -m resume=x seed=1,2": "resume=x: in a sweep (-m), resume=auto",
    "train resume=auto": "resume=auto: goes on in the folder that is named, hydra.run.dir=FOLDER",
    # folders and flags
    "train hydra.run.dir=": "hydra.run.dir=: takes a folder",
    "train hydra.run.dir=a${b}": "hydra.run.dir=a${b}: takes a folder, and Hydra can make none",
    "train --config-dir no/such": "--config-dir no/such: is no folder",
    "train --cfg jobs": "jobs",
    "train -p model": "--package and --resolve go with --cfg",
    "train -m --cfg job": "-m, --cfg, --info: give one of them",
    "train --experimental-rerun x": "--experimental-rerun: no such flag",
    "sample --top_k 5": "--top_k: no such flag",
    # what is built
    "train +trainer.max_stepss=2": "did you mean max_steps?",
    "train +trainer.callbacks=[]": "+callbacks.NAME._target_=CLASS adds one",
    "train trainer.profiler=simple": "is added with a plus: +trainer.profiler=simple",
    "train optimizer=adam +optimizer.momentum=0.5": "torch.optim.Adam takes no momentum",
    "train optimizer._target_=torch.optim.Mon": "torch.optim has no Mon; did you mean Muon?",
    "train optimizer._target_=trch.SGD": "No module named 'trch'",
    "train +callbacks.mine.x=1": "callbacks.mine._target_=null: takes the dotted name",
    # what only a hostile person writes
    f"sample length={DIGITS}": "too large a number",
    "sample length=" + "9" * 30: "is too large a number",
    "sample " + "x" * 50_000 + "=1": "",
    "sample length=" + "[" * 5000: "cannot be read",
    "train hydra.run.dir='${now:" + "x" * 50_000 + "}'": "",
    "train +x=" + "{a:" * 400 + "1" + "}" * 400: "",
}


@pytest.mark.parametrize("line", LINES, ids=[line[:60] for line in LINES])
def test_one_line_that_helps(line: str, door: Any, tmp_path: Path) -> None:
    says, words = LINES[line], line.split(" ")
    if says is None:
        assert door(*words).code == 0
        return
    answer = door(*words)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1), answer
    assert answer.err.startswith(f"charrnn {words[0]}: ")
    assert says in answer.err
    assert len(answer.err) < 1500
    assert door.asked == []
    assert list(tmp_path.iterdir()) == []


def test_the_kinds_of_models_are_choices() -> None:
    assert {*CELLS} <= set(CHOICES.split(", "))


def test_the_traceback_is_there_for_who_asks(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    answer = door("train", "model.hiden_size=3")
    assert answer.code == 2
    assert "Traceback (most recent call last)" in answer.err
    assert answer.err.splitlines()[-1].startswith("charrnn train: model.hiden_size=3: no such opt")


FILES = {
    "# @package _global_\nmodel:\n  hidden_size: many\n": "model.hidden_size=many: takes a whole",
    "# @package _global_\nmodel:\n  hiden_size: 3\n": "no such option; did you mean model.hidden",
    "# @package _global_\nsed: 3\n": "sed=3: no such option; did you mean seed?",
    "model:\n  hidden_size: 3\n": "the first line of its file must be # @package _global_",
    "# @package _global_\nmodel: [unclosed\n": "broken.yaml",
    "# @package _global_\ndefaults:\n  - override /model: lsm\n": "did you mean lstm?",
}


@pytest.mark.parametrize("text", FILES)
def test_a_fault_in_a_file_of_ones_own(text: str, door: Any, tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "broken.yaml").write_text(text)
    assert FILES[text] in door.refuses("train", "experiment=broken", "--config-dir", "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_marks_of_typography_are_read_as_a_keyboards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    vocabulary = Vocabulary(list("ab'- \n"))
    model_file.save(Path("model.safetensors"), trained_model(vocabulary=vocabulary))
    words = ["sample", "checkpoint=model.safetensors", "length=20", "seed=1"]
    assert main([*words, "start_text=a’b – a"]) == 0
    out, err = capsys.readouterr()
    assert err.count("reads the marks that it has instead") == 1
    assert main([*words, "start_text=a'b - a"]) == 0
    assert capsys.readouterr().out.removeprefix("a'b - a") == out.removeprefix("a’b – a")
    for character in "…語":
        assert main([*words, f"start_text=a{character}"]) == 2
        assert f"'{character}'" in capsys.readouterr().err
