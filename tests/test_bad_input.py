"""Whatever a person can get wrong: exit code 2, one line that helps, nothing left behind.

The words of charrnn's messages are tested here, and nowhere else.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from charrnn.model import Model
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Capture, Patch, write_files
from tests.generation.models import make_model
from tests.tools import refusal_of

PAIR = "data.input_h5=good.h5 data.input_json=good.json"

# a line -> a part of the one line that refuses it
BAD = {
    # misspelt, or called as elsewhere
    "trian": "trian: no such command; did you mean train?",
    "xyzzy": "xyzzy: no such command; the commands are preprocess, ",
    "good.txt": "no such command; to train on this text: charrnn train good.txt",
    "length=3": "length=3: put the command first: charrnn COMMAND length=3",
    "sample temprature=1": "temprature=1: no such option; did you mean temperature?",
    "sample prompt=abc": "prompt=abc: no such option; did you mean start_text?",
    "train batch_size=3": "batch_size=3: no such option; did you mean data.batch_size?",
    "train model=lsm": "model=lsm: no such choice; did you mean lstm?; the choices are ",
    "train -m model=lsm,gru hydra.sweep.dir=sweep": "model=lsm: no such choice",
    "train callbacks.early_stopping.patience=3": "only callbacks=early_stopping has this option",
    "train data.input_txt=tinyshakespeare": "did you mean tiny_shakespeare?",
    # words and flags
    "sample length=3 foo": "foo: write options as NAME=VALUE",
    "train my novel.txt": "novel.txt: write options as NAME=VALUE, with quotes around spaces",
    "train --config-name nope": "--config-name=nope: no such choice",
    "train --cfg": "--cfg: needs a value after it",
    "train --config-dir mine callbacks=mine good.txt": "only data.input_txt may stand without its",
    "sample --top_k 5": "--top_k: no such flag; options have no dashes: top_k=5 (see --help)",
    "train --input_txt 'my novel.txt'": "type: charrnn train 'data.input_txt=my novel.txt'",
    "train -checkpoint_name cv/x": "instead type: charrnn train hydra.run.dir=cv/x",
    "train -input_h5 x.h5 -num_layers 3": "train experiment=torch_rnn data.input_h5=x.h5 model.n",
    "convert -checkpoint a.t7": "instead type: charrnn convert input=a.t7",
    "sample temperature=0,5": "temperature=0,5: for one number write temperature=0.5",
    "train -gpu 0": "no dashes in charrnn; instead type: charrnn train",
    "sample -gpu -1 -length 9": "instead type: charrnn sample device=cpu length=9",
    "train --hidden-size=9": "no dashes: model.hidden_size=9 (see --help)",
    "train --cuda trainer=gpu": "--cuda: no such flag; options have no dashes: cuda=VALUE",
    "preprocess": "input_txt is required",
    # values
    "sample length=abc": "length=abc: Value 'abc' of type 'str' could not be converted "
    "to Integer\n",
    "sample temperature=-1": "temperature=-1",
    "train seed=-1": "train: seed=-1: must be at least 0 and below",
    "train trainer.precision=tf32-true": "trainer.precision=tf32-true: must be one of 32-true, ",
    "train trainer.val_check_interval=0": "validate_every=0 turns validation off",
    "train good.txt budget=10": "budget=10: must be a time with its unit: 90s, 10m or 2h",
    "train good.txt budget=1s trainer.max_epochs=3": "max_epochs=3: budget=1s chooses the length",
    f"train {PAIR} trainer.devices=[]": "trainer.devices=[]",
    "sample " + "x" * 50_000 + "=1": "",
    "sample length=" + "[" * 5000: "no viable alternative at input",
    "train +x=" + "{a:" * 400 + "1" + "}" * 400: "",
    # what is built
    "train +trainer.callbacks=[]": "+callbacks.NAME._target_=CLASS adds one",
    "train trainer.profiler=simple": "not in conf/ needs a plus: +trainer.profiler=simple",
    "train optimizer=adam +optimizer.momentum=0.5": "torch.optim.Adam takes no momentum",
    "train optimizer._target_=torch.optim.Adm": "has no attribute 'Adm'; did you mean Adam?",
    "train ~schedule": "train: schedule: cannot be left out; choose another",
    "train +callbacks.mine.x=1": "callbacks.mine._target_=null: takes the dotted name",
    f"train {PAIR} +trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0",
    # resumes and sweeps
    "train resume=model.safetensors": "is no checkpoint of a run (.ckpt); init_from=model",
    "train resume=x init_from=y": "init_from=y: resume= restores everything",
    "train -m resume=x seed=1,2": "resume=x: to continue a sweep, give hydra.sweep.dir",
    "train resume=auto": "resume=auto: needs a folder; add hydra.run.dir=FOLDER",
    f"train {PAIR} resume=good.txt": "good.txt",
    "train resume=outputs/nope": "resume=outputs/nope: no such run or file; `charrnn runs` lists",
    f"train {PAIR} resume=loop": "loop: ",
    "train -m sweep=tpe seed=1,2 validate_every=0": "a study needs validation losses",
    "train sweep=tpe": "the search space is empty",
    "train -m good.txt no.txt none.txt": "no.txt: no such file; name a file, a folder or a glob\n",
    "train -m 'good.txt,no.txt'": "good.txt,no.txt: no such file",
    # folders
    "train hydra.run.dir=": "hydra.run.dir=: takes a folder",
    "train 'hydra.run.dir=a${b}'": "hydra.run.dir: Interpolation key 'b' not found",
    "train good.txt hydra.run.dir=caf\udce9": "its name is not UTF-8",
    "sample hydra.job.chdir=true": "hydra.job.chdir=true: charrnn does not",
    f"train {PAIR} hydra.run.dir=file/run": "file/",
    f"train -m {PAIR} seed=1,2 hydra.sweep.dir=file/runs": "file/",
    "sample model.safetensors seed=1 length=5 output=file/x.txt": "file/",
    "sample model.safetensors 'output=no texts'": "output=no texts: is a folder",
    # texts, HDF5 and JSON
    "preprocess input_txt=good.txt val_frac=0.6 test_frac=0.4": "below 1",
    "preprocess input_txt=-": "output_h5=null: ",
    "preprocess link output_h5=good.txt": "output_h5=good.txt: is what the command reads",
    "preprocess good.txt output_h5=z output_json=z": "output_json=z: is the other output too",
    "preprocess *.md output_h5=z": "*.md: no file matches this pattern",
    "preprocess '[empty.txt,binary.txt]' output_h5=new/z.h5": "binary.txt: not utf-8 (",
    "preprocess utf16.txt": "utf16.txt: not utf-8 (",
    "preprocess my.rtf": "my.rtf: is RTF or a PDF; save it as plain text in UTF-8",
    "train one.txt": "one.txt: its training split has 1 characters, and training needs 2 or more",
    "train data.input_txt=binary.txt": "or data.encoding=bytes",
    "train pipe": "pipe: is not a regular file",
    f"train {PAIR} 'data.background=no texts'": "no texts: this folder contains no *.txt file",
    "train data.input_h5=good.h5 data.input_json=broken.json": "broken.json",
    # models
    "sample": "outputs/",
    "sample pipe": "pipe: is not a regular file",
    "sample model.safetensors start_file=pipe": "pipe: is not a regular file",
    "sample model.safetensors start_text=xyz": "'x'",
    "sample model.safetensors start_text=a start_file=b": "start_file=b: replaces start_text",
    "sample model.safetensors mode=lines length=0": "length=0: must be 1 or more with mode=lines",
    "sample model.safetensors output=model.safetensors": "is what the command reads",
    "evaluate model.safetensors": "data.input_txt",
    "evaluate model.safetensors data.input_txt=empty.txt": "empty.txt: the text is empty",
    "evaluate model.safetensors data.input_txt=one.txt": "has 1 characters, but a loss needs 2",
    "evaluate model.safetensors data.input_txt=strange.txt": "the character 'ß' (U+00DF)",
    "runs": "outputs/: no run exists yet; `charrnn train my.txt` starts one",
    "runs 'folder=no texts'": "folder=no texts: contains no run",
    "serve nothing": "nothing: no such file",
    "serve model.safetensors host=127.0.0.1:80": "host=127.0.0.1:80 port=8080: ",
    "serve model.safetensors origins=[https://a.org/]": "origins=['https://a.org/']: takes",
    "export learn=true checkpoint=a.ckpt output=x.html": "makes a page without a model",
    "export output=x.htm": "output=x.htm: must end in .html (a page)",
}

# a file of a user's group -> a part of the line with which `train GROUP=broken` is refused
BROKEN = {
    (
        "experiment",
        "# @package _global_\nmodel: {hidden_size: many}",
    ): "model.hidden_size=many: ",
    ("experiment", "# @package _global_\nmodel: [unclosed"): "broken.yaml",
    ("experiment", "model: {hidden_size: 3}"): "experiment={'model': {'hidden_size': 3}}: no such",
    ("callbacks", "c: {_target_: own_parts.Conter}"): "did you mean Counter?",
    ("callbacks", "c: {_target_: bad_parts.C}"): "bad_parts.C: cannot be imported (ZeroDivision",
    ("data", "defaults: [base]"): "data=base: no such choice",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Make a folder with good and bad files of every kind."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "good.txt": "to be or not to be, that is the question " * 20,
        "one.txt": "a",
        "strange.txt": "abß",
        "broken.json": '{"idx_to_token": {"1": ',
        "mine/callbacks/mine.yaml": "c: {_target_: own_parts.Counter, every: 2}",
        "own_parts.py": "class Counter:\n    def __init__(self, every): ...\n",
        "bad_parts.py": "1 / 0\n",
        **dict.fromkeys(("empty.txt", "file"), ""),
    }
    write_files(tmp_path, texts)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (tmp_path / "binary.txt").write_bytes(b"plain text, then \xff\xfe")
    (tmp_path / "utf16.txt").write_text("text", "utf-16")
    (tmp_path / "my.rtf").write_text("{\\rtf1 Zoe}")
    (tmp_path / "no texts").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("good.txt")
    (tmp_path / "loop").symlink_to("loop")
    with h5py.File("good.h5", "w") as file:
        for split in ("train", "val", "test"):
            file[split] = (np.arange(300) % 3 + 1).astype("u1")
    Vocabulary(list("abc")).write_json(Path("good.json"))
    Model(make_model(vocabulary=Vocabulary(list("ab\n")))).save("model.safetensors")
    return tmp_path


@pytest.mark.parametrize("line", BAD, ids=lambda line: line[:60])
def test_refused_in_one_line(files: Path, capfd: Capture, line: str) -> None:
    before = sorted(files.rglob("*"))
    refused = refusal_of(capfd, *shlex.split(line))
    assert BAD[line] in refused
    # Hydra writes multirun.yaml before it composes the jobs of a sweep.
    left = [path for path in sorted(files.rglob("*")) if "sweep" not in path.parts]
    assert left == before


@pytest.mark.parametrize(("group", "text"), BROKEN)
def test_a_fault_in_a_file_of_ones_own(group: str, text: str, files: Path, capfd: Capture) -> None:
    write_files(files, {f"mine/{group}/broken.yaml": text})
    assert BROKEN[group, text] in refusal_of(
        capfd, "train", f"{group}=broken", "--config-dir", "mine"
    )
    assert not (files / "outputs").exists()
