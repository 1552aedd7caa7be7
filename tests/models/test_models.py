"""Models from any file or folder, and recorded model files (tests/data/models)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from charrnn.errors import InputError
from charrnn.model import Model, load
from charrnn.runs.model_lookup import find_model, read_model
from charrnn.runs.result import Result
from tests.tools import refusal

MODELS = Path(__file__).parents[1] / "data" / "models"


def test_a_run_folder_is_its_best_model(path: Path, model: Model) -> None:
    run = path.parent / "run"
    (run / "checkpoints").mkdir(parents=True)
    Result(run).write()
    assert "has no model yet" in refusal(run, read_model)
    for name in ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "model.safetensors"):
        shutil.copy(path, run / name)
        assert find_model(run) == run / name
    (path.parent / "latest").symlink_to(run)
    assert load(path.parent / "latest").generate(50, seed=1) == model.generate(50, seed=1)


def make_run(path: Path, folder: str, time: int, loss: float | None = None) -> Path:
    """Make a run folder with a model, which wrote its result some seconds after others."""
    run = path.parent / "outputs" / folder
    run.mkdir(parents=True)
    Result(run, network_loss=loss).write()
    os.utime(run / "result.json", (time, time))
    shutil.copy(path, run / "model.safetensors")
    return run


def test_without_a_path_it_is_the_newest_run_that_has_a_model(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(InputError, match="charrnn train"):
        load()
    make_run(path, "named", 0)
    assert find_model(None) == Path("outputs/named/model.safetensors")
    make_run(path, "train/day/two", 2)
    make_run(path, "train/day/one", 1)
    young = make_run(path, "train/day/young", 3)
    (young / "model.safetensors").unlink()
    (path.parent / "outputs" / "latest").symlink_to(young)
    assert find_model(None) == Path("outputs/train/day/two/model.safetensors")
    assert "the newest model: outputs/train/day/two" in capsys.readouterr().err
    # of a sweep the winner, whichever job ended last
    for number, loss in enumerate((1.5, 1.7)):
        make_run(path, f"sweeps/day/s/{number}", 4 + number, loss)
    (path.parent / "outputs" / "sweeps" / "day" / "s" / "multirun.yaml").write_text("{}")
    for sweep in (None, "outputs/sweeps/day/s"):
        assert find_model(sweep) == Path("outputs/sweeps/day/s/0/model.safetensors")
    assert capsys.readouterr().err.endswith("the best run of outputs/sweeps/day/s: 0\n")
    # what is named is what is meant
    with pytest.raises(InputError, match="has no model yet"):
        find_model("outputs/latest")
    shutil.rmtree(young)  # but for a link to a run that was deleted
    assert "no such file" in refusal(Path("outputs/latest"), find_model)


EXPECTED = json.loads((MODELS / "expected.json").read_text())


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_recorded_model_file_says_what_it_said_and_is_written_as_it_was(
    kind: str, tmp_path: Path
) -> None:
    path, again, expected = MODELS / f"{kind}.safetensors", tmp_path / "again", EXPECTED[kind]
    model = load(path)
    model.save(again)
    assert again.read_bytes() == path.read_bytes()
    assert np.abs(model.logits(EXPECTED["start"]) - np.array(expected["logits"])).max() < 2e-5
    assert model.score(EXPECTED["start"]) == pytest.approx(expected["score"], abs=2e-5)
    how = {"temperature": 1, "min_p": 0, "seed": 1}
    assert model.generate(80, "to ", **how) == expected["text"]
