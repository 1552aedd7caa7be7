"""Whatever a person can get wrong: exit code 2, one line that helps, nothing left behind."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.models.model_file import save
from charrnn.models.trained import Architecture, TrainedModel
from charrnn.text.vocabulary import Vocabulary

PAIR = "data.input_h5=good.h5 data.input_json=good.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good and bad files of every kind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.txt").write_text("to be or not to be, that is the question " * 20)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "one.txt").write_text("x")
    (tmp_path / "binary.txt").write_bytes(b"plain text, then \xff\xfe")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "no texts").mkdir()
    (tmp_path / "file").touch()
    _write_h5("good.h5", train="u1", val="u1", test="u1")
    Vocabulary(list("abc")).write_json(Path("good.json"))
    (tmp_path / "broken.json").write_text('{"idx_to_token": {"1": ')
    architecture = Architecture("rnn", 4, 4, 1, 0.0, False, vocabulary_size=3)
    weights = {n: np.zeros(s, np.float32) for n, s in architecture.shapes().items()}
    save(
        tmp_path / "model.safetensors", TrainedModel(architecture, Vocabulary(list("abc")), weights)
    )
    return tmp_path


def _write_h5(name: str, **types: str) -> None:
    with h5py.File(name, "w") as file:
        for split, kind in types.items():
            file[split] = (np.arange(300) % 3 + 1).astype(kind)


BAD = {
    # texts
    "preprocess 'input_txt=no texts'": "no texts",
    "preprocess input_txt=binary.txt ": "encoding=bytes",
    "preprocess input_txt=good.txt encoding=utf-9": "utf-9",
    "preprocess input_txt=good.txt val_frac=0.6 test_frac=0.4": "below 1",
    "train data.input_txt=missing.txt": "missing.txt",
    "train data.input_txt=empty.txt": "empty.txt",
    "train data.input_txt=binary.txt": "encoding=bytes",
    "train data.input_txt=-": "charrnn preprocess",
    "train data.corpus=shakespeare data.input_txt=good.txt": "says which text it is already",
    "train data.corpus=tinyshakespeare": "did you mean tiny_shakespeare?",
    f"train {PAIR} data.background=missing.txt": "missing.txt: no such file",
    f"train {PAIR} 'data.background=no texts'": "no texts: no *.txt below this folder",
    f"train {PAIR} data.background=[good.txt,empty.txt]": "empty.txt: the text is empty",
    f"train {PAIR} data.background=binary.txt": "binary.txt: not utf-8 at byte 17",
    f"train {PAIR} data.background=[]": "data.background=[]: takes a path",
    # HDF5 and JSON
    "preprocess pipe": "pipe: is no regular file",
    "train pipe": "pipe: is no regular file",
    f"train {PAIR} resume=pipe": "pipe: is no regular file",
    f"train {PAIR} init_from=pipe": "pipe: is no regular file",
    f"train {PAIR} init_from=/dev/zero": "/dev/zero: is no regular file",
    f"train {PAIR} data.background=pipe": "pipe: is no regular file",
    "sample pipe": "pipe: is no regular file",
    "sample model.safetensors start_file=pipe": "pipe: is no regular file",
    "sample model.safetensors logit_bias={a:high}": "-100 to 100 for each character",
    "sample model.safetensors 'output=no texts'": "output=no texts: is a folder",
    "train good.txt data=tiny_shakespeare": "says which text it is already",
    f"train -m {PAIR} 'seed=range(5,1)'": "seed=range(5,1): stands for no value",
    f"train {PAIR} +trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0",
    "evaluate model.safetensors data.input_txt=pipe": "pipe: is no regular file",
    "convert pipe output=x.safetensors": "pipe: is no regular file",
    "train data.input_h5=good.h5": "data.input_json",
    "train data.input_h5=good.txt data.input_json=good.json": "good.txt",
    "train data.input_h5=good.h5 data.input_json=broken.json": "broken.json",
    "train data.input_h5=good.h5 data.input_json=missing.json": "missing.json",
    # options of training
    f"train {PAIR} model.hidden_size=-3": "model.hidden_size=-3",
    f"train {PAIR} trainer.max_epochs=0": "trainer.max_epochs=0",
    f"train {PAIR} trainer.precision=8": "trainer.precision=8",
    f"train {PAIR} trainer.devices=[]": "trainer.devices=[]",
    f"train {PAIR} trainer.threads=100000": "trainer.threads=100000",
    f"train {PAIR} seed=-1": "seed=-1",
    "sample checkpoint=model.safetensors output=model.safetensors": "is the model itself",
    f"train {PAIR} resume=missing": "missing",
    f"train {PAIR} resume=good.txt": "good.txt",
    f"train {PAIR} init_from=good.txt": "good.txt",
    # sampling
    "sample checkpoint=model.safetensors temperature=-1": "temperature=-1",
    "sample checkpoint=model.safetensors temperature=nan": "temperature=nan",
    "sample checkpoint=model.safetensors start_text=xyz": "'x'",
    "sample checkpoint=model.safetensors num_samples=0": "num_samples=0",
    "sample checkpoint=model.safetensors until=": "until",
    "sample checkpoint=good.txt": "good.txt",
    "sample checkpoint=missing": "missing",
    "sample": "outputs/",
    # the rest
    "evaluate checkpoint=model.safetensors": "data.input_txt",
    "convert input=good.txt output=x.safetensors": "good.txt",
    "convert input=model.safetensors output=model.safetensors": "output=model.safetensors",
    "x" * 5000: "characters) ...",
    f"sample checkpoint={'x' * 5000}": "characters) ...",
}


@pytest.mark.parametrize("line", BAD)
def test_refused_in_one_line(folder: Path, capfd: pytest.CaptureFixture[str], line: str) -> None:
    before = sorted(folder.rglob("*"))
    capfd.readouterr()
    assert main(shlex.split(line)) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert BAD[line] in err
    assert err.count("\n") == 1, err
    assert len(err) < 1000
    assert "Traceback" not in err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "line",
    [
        "preprocess input_txt=good.txt output_h5=file/x.h5",
        "sample checkpoint=model.safetensors length=5 output=file/x.txt",
        "convert input=model.safetensors output=file/x.safetensors",
        f"train {PAIR} hydra.run.dir=file/run",
    ],
)
def test_what_cannot_be_written(folder: Path, capfd: pytest.CaptureFixture[str], line: str) -> None:
    before = sorted(folder.rglob("*"))
    capfd.readouterr()
    assert main(line.split()) in (1, 2)
    err = capfd.readouterr().err
    assert "file/" in err
    assert "Traceback" not in err
    # nothing but the seed that was drawn stands before the line
    assert len([x for x in err.splitlines() if not x.startswith("seed=")]) == 1, err
    assert sorted(folder.rglob("*")) == before


def test_a_text_of_one_character_can_be_preprocessed_but_not_learned(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["preprocess", "input_txt=one.txt"]) == 0
    assert main(["train", "data.input_h5=one.h5", "data.input_json=one.json"]) == 2
    assert "2 or more" in capfd.readouterr().err
    assert not os.path.exists("outputs")
