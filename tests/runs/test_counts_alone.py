"""`model=counts`: a run that counts its text, and what may be done with what it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from tests.small_runs import Train, metrics


def test_counts_alone(train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = charrnn.train("model=counts", "data.input_txt=corpus.txt", "hydra.run.dir=run")
    run = result.folder
    left = sorted(p.name for p in run.iterdir())
    assert left == [".hydra", ".lock", "metrics.csv", "model.safetensors", "report.html"]
    [row] = metrics(run)
    assert (float(row["val/loss"]), result.step) == (result.best_loss, 0)
    capfd.readouterr()
    assert main(["evaluate", f"checkpoint={run}", "json=true"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["loss"] == pytest.approx(result.best_loss, abs=1e-5)
    assert (found["loss_of"], found["losses"]) == ("counts", {"counts": found["loss"]})

    model = charrnn.load(run)
    text = model.generate(80, seed=1)
    assert text == model.generate(80, seed=1, engine="torch")
    assert model.score(text) < model.score(text[::-1])
    assert main(["export", f"checkpoint={run}", "output=same.safetensors"]) == 0
    assert charrnn.load("same.safetensors").generate(80, seed=1) == text

    before = (run / "model.safetensors").read_bytes()
    capfd.readouterr()
    assert main(["train", f"resume={run}"]) == 0
    assert "model=counts: there is nothing to go on with" in capfd.readouterr().err
    assert (run / "model.safetensors").read_bytes() == before
    assert main(["runs", "folder=."]) == 0

    data = "data.input_txt=corpus.txt"
    for words, what in (
        (["sample", f"checkpoint={run}", "counts=none"], "the model is counts alone"),
        (["sample", f"checkpoint=[{run},{run}]"], "no part of an ensemble"),
        (["export", f"checkpoint={run}", "output=page.html"], "no network of kind counts"),
        (["inspect", f"checkpoint={run}", "output=page.html"], "no network of kind counts"),
        (["train", data, f"distill_from={run}"], "the model is counts alone"),
        (["train", data, f"init_from={run}"], "is counts alone"),
        (["train", "model=counts", data, f"init_from={run}"], "init_from: model=counts"),
        (["train", "model=counts", data, "data.val_frac=0"], "give data.val_frac"),
    ):
        folders = set(Path("outputs").glob("train/*/*"))
        capfd.readouterr()
        assert main(words) == 2, words
        [line] = capfd.readouterr().err.splitlines()[-1:]
        assert what in line, words
        assert set(Path("outputs").glob("train/*/*")) == folders, words
