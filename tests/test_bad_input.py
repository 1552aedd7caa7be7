"""Whatever a person can get wrong: exit code 2, one line that helps, nothing left behind."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from charrnn import plugins
from charrnn.model import Model
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Capture, Patch, write_files
from tests.generation.models import make_model
from tests.tools import refusal_of

PAIR = "data.input_h5=good.h5 data.input_json=good.json"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Make a folder with good and bad files of every kind."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "good.txt": "to be or not to be, that is the question " * 20,
        "one.txt": "a",
        "strange.txt": "abß",
        "broken.json": '{"idx_to_token": {"1": ',
        **dict.fromkeys(("empty.txt", "file"), ""),
    }
    write_files(tmp_path, texts)
    (tmp_path / "binary.txt").write_bytes(b"plain text, then \xff\xfe")
    (tmp_path / "no texts").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with h5py.File("good.h5", "w") as file:
        for split in ("train", "val", "test"):
            file[split] = (np.arange(300) % 3 + 1).astype("u1")
    Vocabulary(list("abc")).write_json(Path("good.json"))
    Model(make_model(vocabulary=Vocabulary(list("ab\n")))).save("model.safetensors")
    return tmp_path


BAD = {
    # texts
    "preprocess input_txt=good.txt encoding=utf-9": "utf-9",
    "preprocess input_txt=good.txt val_frac=0.6 test_frac=0.4": "below 1",
    "train one.txt": "one.txt: its training split has 1 characters, and training needs 2 or more",
    "train data.input_txt=binary.txt": "encoding=bytes",
    "train good.txt hydra.run.dir=caf\udce9": "its name is not UTF-8",
    "train data.input_txt=tinyshakespeare": "did you mean tiny_shakespeare?",
    f"train {PAIR} 'data.background=no texts'": "no texts: this folder contains no *.txt file",
    # HDF5 and JSON
    "train pipe": "pipe: is not a regular file",
    f"train {PAIR} resume=loop": "loop: ",
    "sample pipe": "pipe: is not a regular file",
    "sample model.safetensors start_file=pipe": "pipe: is not a regular file",
    "sample model.safetensors 'output=no texts'": "output=no texts: is a folder",
    f"train {PAIR} +trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0",
    "train data.input_h5=good.txt data.input_json=good.json": "good.txt",
    "train data.input_h5=good.h5 data.input_json=broken.json": "broken.json",
    # options of training
    f"train {PAIR} trainer.devices=[]": "trainer.devices=[]",
    f"train {PAIR} resume=good.txt": "good.txt",
    # sampling
    "sample checkpoint=model.safetensors temperature=-1": "temperature=-1",
    "sample checkpoint=model.safetensors start_text=xyz": "'x'",
    "sample": "outputs/",
    "sample model.safetensors start_text=a start_file=b": "start_file=b: replaces start_text",
    "sample model.safetensors mode=lines length=0": "length=0: must be 1 or more with mode=lines",
    # evaluation
    "evaluate model.safetensors": "data.input_txt",
    "evaluate model.safetensors data.input_txt=empty.txt": "empty.txt: the text is empty",
    "evaluate model.safetensors data.input_txt=strange.txt": "the character 'ß' (U+00DF)",
    "evaluate model.safetensors data.input_txt=one.txt": "the model knows 1 of",
    # budgets
    "train good.txt budget=10": "budget=10: must be a time with its unit: 90s, 10m or 2h",
    "train good.txt budget=1s trainer.max_epochs=3": "max_epochs=3: budget=1s chooses the length",
    # a file in the place of a folder
    "sample model.safetensors seed=1 length=5 output=file/x.txt": "file/",
    f"train {PAIR} hydra.run.dir=file/run": "file/",
    f"train -m {PAIR} seed=1,2 hydra.sweep.dir=file/runs": "file/",
    # the rest
    "convert model.safetensors 'output=no texts/../model.safetensors'": "is what the command reads",
    "sample model.safetensors output=model.safetensors": "is what the command reads",
    "train data.input_txt=missing.txt": "missing.txt",
    "runs": "outputs/: no run exists yet; `charrnn train my.txt` starts one",
    "runs 'folder=no texts'": "folder=no texts: contains no run",
    "export output=x.htm": "output=x.htm: must end in .html (a page)",
}


# the commands of an extra, which can be deleted
MISSING = {"export"} - plugins.list_commands().keys()


@pytest.mark.parametrize("line", [line for line in BAD if line.split()[0] not in MISSING])
def test_refused_in_one_line(files: Path, capfd: Capture, line: str) -> None:
    before = sorted(files.rglob("*"))
    assert BAD[line] in refusal_of(capfd, *shlex.split(line))
    assert sorted(files.rglob("*")) == before
