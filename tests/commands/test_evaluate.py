"""`charrnn evaluate` through the command line."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import charrnn
from charrnn.__main__ import main
from tests.small_runs import Train, metrics


def evaluate(capfd: pytest.CaptureFixture[str], *overrides: str) -> dict:
    capfd.readouterr()
    assert main(["evaluate", *overrides, "json=true"]) == 0
    return json.loads(capfd.readouterr().out)


def test_the_splits_of_its_own_data(
    trained: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = trained("trainer.max_steps=23")
    val = evaluate(capfd, f"checkpoint={run}", "counts=none")
    best = min(float(row["val/loss"]) for row in metrics(run) if row["val/loss"])
    assert val["loss"] == pytest.approx(best, abs=1e-5)
    assert (val["split"], val["characters"]) == ("val", 104)
    assert val["bits_per_character"] == pytest.approx(val["loss"] / math.log(2))
    assert val["perplexity"] == pytest.approx(math.exp(val["loss"]))
    (run.parent / "elsewhere").mkdir()
    monkeypatch.chdir(run.parent / "elsewhere")
    for name in ("checkpoints/best.ckpt", "model.safetensors"):
        assert evaluate(capfd, f"checkpoint={run / name}", "counts=none") == val
    assert evaluate(capfd, f"checkpoint={run}", "split=test")["split"] == "test"
    assert evaluate(capfd, f"checkpoint={run}", "split=train")["characters"] == 839


def test_ids_that_are_gone_or_of_another_text(
    trained: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    model = charrnn.load(trained("trainer.max_steps=5")).trained
    for name, reason in (("input_h5", "x: no such file"), ("fingerprint", "holds another text")):
        charrnn.Model(replace(model, facts={**model.facts, name: "x"})).save(Path("model"))
        assert main(["evaluate", "checkpoint=model"]) == 2
        assert re.search(f"charrnn evaluate: split=val: .*{reason}", capfd.readouterr().err)


def test_unknown_characters_are_skipped(
    trained: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = trained("trainer.max_steps=5", "~callbacks.counts")
    Path("strange.txt").write_text("the ßcat sßaw Xa ß", encoding="utf-8")
    found = evaluate(capfd, f"checkpoint={run}", "data.input_txt=strange.txt", "unknown=skip")
    known = "the cat saw a "
    assert (found["characters"], found["unknown"]) == (len(known) - 1, 4)
    assert found["loss"] == pytest.approx(charrnn.load(run).score(known), abs=1e-6)
    # a split of other data, as it is preprocessed
    assert main(["preprocess", "input_txt=strange.txt", "val_frac=0", "test_frac=0"]) == 0
    pair = ("data.input_h5=strange.h5", "data.input_json=strange.json", "split=train")
    again = evaluate(capfd, f"checkpoint={run}", *pair, "unknown=skip")
    assert again == {**found, "split": "train"}
    assert main(["evaluate", f"checkpoint={run}", "unknown=skip", *pair]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("train: 13 characters\n")
    size = len(charrnn.load(run).vocabulary)
    assert err == (
        f"unknown=skip: 4 of 18 characters are not among the {size} that the model knows; "
        f"the rest is scored\n"
    )
    assert evaluate(capfd, f"checkpoint={run}", "unknown=skip")["unknown"] == 0
    assert "unknown" not in evaluate(capfd, f"checkpoint={run}")


def test_cold_windows(trained: Train, capfd: pytest.CaptureFixture[str]) -> None:
    run = trained("trainer.max_steps=23", "~callbacks.counts")
    text = Path("corpus.txt").read_text("utf-8")
    stream = evaluate(capfd, f"checkpoint={run}", "data.input_txt=corpus.txt")
    found = evaluate(capfd, f"checkpoint={run}", "data.input_txt=corpus.txt", "window=7")
    assert found["characters"] == stream["characters"] == len(text) - 1
    assert found["window"] == 7
    assert "window" not in stream
    model = charrnn.load(run)
    parts = [text[start : start + 8] for start in range(0, len(text) - 1, 7)]
    each = [model.score(part) * (len(part) - 1) for part in parts]
    assert found["loss"] == pytest.approx(sum(each) / (len(text) - 1), abs=1e-5)
    assert found["loss"] > stream["loss"]
    capfd.readouterr()
    assert main(["evaluate", f"checkpoint={run}", "window=50"]) == 0
    assert capfd.readouterr().out.splitlines()[0] == "val: 104 characters, in cold windows of 50"


def test_an_ensemble(trained: Train, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    paths = [
        str(trained(f"trainer.max_steps={n}", "~callbacks.counts", folder=f"r{n}")) for n in (5, 23)
    ]
    both, text = f"checkpoint=[{','.join(paths)}]", Path("corpus.txt").read_text("utf-8")
    logits = [charrnn.load(path).logits(text).astype(np.float64) for path in paths]
    each = [np.exp(row) / np.exp(row).sum(-1, keepdims=True) for row in logits]
    ids = charrnn.load(paths[0]).vocabulary.encode(text)
    for given, weights in (((), [0.5, 0.5]), (("weights=[3.0,1.0]",), [0.75, 0.25])):
        found = evaluate(capfd, both, "data.input_txt=corpus.txt", *given)
        assert found["model"] == "ensemble of 2"
        chosen = np.average(each, 0, weights)[np.arange(len(ids) - 1), ids[1:]]
        assert found["loss"] == pytest.approx(-np.log(chosen).mean(), abs=1e-5)
    assert main(["evaluate", both, "window=9", "split=test"]) == 0
    line = capfd.readouterr().out.splitlines()[0]
    assert line == "test: 104 characters, in cold windows of 9, ensemble of 2"
    assert main(["evaluate", both, "weights=[0.7]"]) == 2
    assert "weights=[0.7]: needs several models" in capfd.readouterr().err
    assert evaluate(capfd, f"checkpoint=[{paths[0]}]") == evaluate(capfd, f"checkpoint={paths[0]}")


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["data.input_txt=strange.txt"], "'ß'"),
        (["data.input_txt=strange.txt"], "unknown=skip"),
        (["data.input_txt=unknown.txt", "unknown=skip"], "has 0 characters"),
        (["unknown=replace"], "unknown=replace"),
        (["data.input_txt=short.txt"], "2 or more"),
        (["split=valid"], "split=valid"),
        (["data.input_h5=corpus.h5"], "data.input_json"),
        (["checkpoint=missing"], "missing"),
        (["window=0"], "window=0: must be 1 or more"),
    ],
)
def test_bad_input(
    trained: Train,
    workplace: Path,
    capfd: pytest.CaptureFixture[str],
    overrides: list[str],
    what: str,
) -> None:
    run = trained("trainer.max_steps=5")
    Path("strange.txt").write_text("the ß", encoding="utf-8")
    Path("short.txt").write_text("t")
    Path("unknown.txt").write_text("ßßß", encoding="utf-8")
    capfd.readouterr()
    assert main(["evaluate", f"checkpoint={run}", *overrides]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert what in err
    assert len(err.splitlines()) == 1
