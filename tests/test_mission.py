"""What charrnn is for, through its commands, each in a process of its own."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.small_runs import SMALL
from tests.tools import until

pytestmark = pytest.mark.slow
CHARRNN = [sys.executable, "-m", "charrnn"]


def charrnn(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command line in the current folder, and check its exit code."""
    done = subprocess.run([*CHARRNN, *words], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


def read_weights(model: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(model)


def test_h5py_reads_the_text_back(workplace: Path) -> None:
    charrnn("preprocess", "input_txt=corpus.txt")
    tokens = json.loads(Path("corpus.json").read_text("utf-8"))["idx_to_token"]
    with h5py.File("corpus.h5") as file:
        ids = np.concatenate([file[name][:] for name in ("train", "val", "test")])
    assert "".join(tokens[str(i)] for i in ids) == Path("corpus.txt").read_text("utf-8")


def test_files_of_torch_rnn_train_and_its_flags_are_answered(workplace: Path) -> None:
    text = Path("corpus.txt").read_text("utf-8")
    # as torch-rnn's preprocess.py writes them
    ids = {character: i for i, character in enumerate(dict.fromkeys(text), start=1)}
    array = np.array([ids[character] for character in text], np.uint8)
    with h5py.File("my.h5", "w") as file:
        bounds = np.cumsum([len(text) // 10 * 8, len(text) // 10])
        for name, part in zip(("train", "val", "test"), np.split(array, bounds), strict=True):
            file.create_dataset(name, data=part)
    tables = {"idx_to_token": {i: c for c, i in ids.items()}, "token_to_idx": ids}
    Path("my.json").write_text(json.dumps(tables))
    # the tutorial's two lines, and charrnn's answers
    for typed in (
        "train -input_h5 my.h5 -input_json my.json -rnn_size 16 -max_epochs 2 -gpu -1",
        "sample -checkpoint outputs/latest -length 50",
    ):
        answer = charrnn(*typed.split(), code=2).stderr
        *_, line = answer.strip().partition("instead type: ")
        written = charrnn(*shlex.split(line)[1:]).stdout
    assert len(written) == 50


def test_a_sweep_of_two_by_two_has_a_leaderboard(workplace: Path) -> None:
    words = ("trainer.max_epochs=2", "hydra.sweep.dir=sweep")
    charrnn("train", "-m", *SMALL, *words, "model.hidden_size=8,16", "optimizer.lr=1e-2,1e-3")
    header, *rows = Path("sweep/leaderboard.csv").read_text().splitlines()
    assert len(rows) == 4
    assert {"model.hidden_size", "optimizer.lr"} <= {*header.split(",")}


def test_a_run_that_was_killed_ends_with_the_same_weights(workplace: Path) -> None:
    words = [*CHARRNN, "train", *SMALL, "seed=1", "trainer.max_epochs=100"]
    subprocess.run([*words, "hydra.run.dir=whole"], check=True, capture_output=True)
    killed = subprocess.Popen([*words, "hydra.run.dir=killed"], stderr=subprocess.DEVNULL)
    until(Path("killed/checkpoints/last.ckpt").exists)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    charrnn("train", "resume=killed")
    whole, resumed = (read_weights(Path(name, "model.safetensors")) for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    assert all((whole[name] == resumed[name]).all() for name in whole)
    assert Path("whole/metrics.csv").read_text().count("\n") == (
        Path("killed/metrics.csv").read_text().count("\n")
    )


def test_a_model_file_alone_writes_in_another_folder(
    workplace: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    charrnn("train", *SMALL, "trainer.max_epochs=2", "hydra.run.dir=run")
    words = ("sample", "length=40", "seed=1")
    written = charrnn(*words, "checkpoint=run").stdout
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    shutil.move(workplace / "run" / "model.safetensors", "my.safetensors")
    shutil.rmtree(workplace)
    assert charrnn(*words, "checkpoint=my.safetensors").stdout == written
