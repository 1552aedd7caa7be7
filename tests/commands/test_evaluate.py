"""`charrnn evaluate` through the command line."""

from __future__ import annotations

import json
import math
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import charrnn
from charrnn import evaluation
from charrnn.__main__ import main
from charrnn.text.wrap import WRAP_FACT
from tests.conftest import Patch
from tests.small_runs import Capture, Train, metrics
from tests.tools import refusal_of


def evaluate(capfd: Capture, *overrides: str) -> dict[str, Any]:
    capfd.readouterr()
    assert main(["evaluate", *overrides, "json=true"]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    return found


def test_the_splits_of_its_own_data(run_copy: Train, monkeypatch: Patch, capfd: Capture) -> None:
    run = run_copy("trainer.max_steps=23")
    val = evaluate(capfd, f"checkpoint={run}", "counts=none")
    best = min(float(row["val/loss"]) for row in metrics(run) if row["val/loss"])
    assert val["loss"] == pytest.approx(best, abs=1e-5)
    assert (val["split"], val["characters"]) == ("val", 104)
    assert val["bits_per_character"] == pytest.approx(val["loss"] / math.log(2))
    assert val["perplexity"] == pytest.approx(math.exp(val["loss"]))
    monkeypatch.chdir(run)
    for name in ("checkpoints/best.ckpt", "model.safetensors"):
        assert evaluate(capfd, f"checkpoint={run / name}", "counts=none") == val
    assert evaluate(capfd, f"checkpoint={run}", "split=test")["split"] == "test"
    assert evaluate(capfd, f"checkpoint={run}", "split=train")["characters"] == 839
    model = charrnn.load(run).trained
    charrnn.Model(replace(model, facts={**model.facts, "fingerprint": "x"})).save("model")
    assert "contains another text" in refusal_of(capfd, "evaluate", "checkpoint=model")


def test_a_split_of_other_data(run_copy: Train, workplace: Path, capfd: Capture) -> None:
    run, text = run_copy("trainer.max_steps=5", "~callbacks.counts"), "mat on a cat"
    Path("other.txt").write_text(text)
    assert main(["preprocess", "input_txt=other.txt", "val_frac=0", "test_frac=0"]) == 0
    pair = ("data.input_h5=other.h5", "data.input_json=other.json", "split=train")
    found = evaluate(capfd, f"checkpoint={run}", *pair)
    assert found["loss"] == pytest.approx(charrnn.load(run).score(text), abs=1e-6)


def test_a_wrapped_text_is_joined_as_in_training(run_copy: Train, capfd: Capture) -> None:
    trained, text = charrnn.load(run_copy("trainer.max_steps=5")).trained, "the cat sat " * 40
    model = charrnn.Model(replace(trained, facts={**trained.facts, WRAP_FACT: "join"}))
    model.save("joined")
    Path("wrapped.txt").write_text(textwrap.fill(text, 50))
    found = evaluate(capfd, "checkpoint=joined", "data.input_txt=wrapped.txt")
    assert found["loss"] == pytest.approx(model.score(text.rstrip()), abs=1e-6)


def test_cold_windows(run_copy: Train, capfd: Capture) -> None:
    run = run_copy("trainer.max_steps=23", "~callbacks.counts")
    text = Path("corpus.txt").read_text("utf-8")
    stream = evaluate(capfd, f"checkpoint={run}", "data.input_txt=corpus.txt")
    found = evaluate(capfd, f"checkpoint={run}", "data.input_txt=corpus.txt", "window=7")
    assert found["characters"] == stream["characters"] == len(text) - 1
    assert (found["window"], stream.get("window")) == (7, None)
    model = charrnn.load(run)
    parts = [text[start : start + 8] for start in range(0, len(text) - 1, 7)]
    each = [model.score(part) * (len(part) - 1) for part in parts]
    assert found["loss"] == pytest.approx(sum(each) / (len(text) - 1), abs=1e-5)
    assert found["loss"] > stream["loss"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_shows_the_progress(
    is_terminal: bool, path: Path, workplace: Path, monkeypatch: Patch, capfd: Capture
) -> None:
    monkeypatch.setattr(evaluation, "PROGRESS_DELAY", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    Path("text.txt").write_text("ab" * 9)
    for window in ("window=null", "window=3"):
        assert main(["evaluate", f"checkpoint={path}", "data.input_txt=text.txt", window]) == 0
        assert ("scoring:   0%" in capfd.readouterr().err) == is_terminal
