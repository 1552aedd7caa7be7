"""`charrnn inspect` through the command line."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.data import open_data
from charrnn.model import Model, load
from charrnn.options.datasets import SplitOptions
from charrnn.text.preprocessing import preprocess
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import CHARACTERS, make_model

Capture = pytest.CaptureFixture[str]
VALIDATION = 'He said "come here", and went. ' * 12
TEXT = "To be, or not to be: that is the question.\n" * 100 + VALIDATION


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a run folder with a model, and its text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "verse.txt").write_text(TEXT, encoding="utf-8")
    share = len(VALIDATION) / len(TEXT)
    encoded = preprocess("verse.txt", None, None, SplitOptions(val_frac=share + 1e-9, test_frac=0))
    folder = tmp_path / "run"
    folder.mkdir()
    facts = {**open_data(encoded.h5, encoded.json).facts, "step": 60}
    model = replace(make_model(vocabulary=Vocabulary([*CHARACTERS, '"'])), facts=facts)
    Model(model).save(folder / "model.safetensors")
    return folder


def inspect(capfd: Capture, *words: str) -> dict[str, Any]:
    """Read the report in the page that the command wrote."""
    assert main(["inspect", *words]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    page = Path("inspect.html").read_text(encoding="utf-8")
    size = f"{len(page.encode()) / 1e6:.2f} MB"
    assert re.search(rf"^wrote inspect.html: [\d,]+ characters of .*, {size}; ", err, re.M)
    [content] = re.findall('<script type="application/json" id="report">([^<]*)</script>', page)
    found: dict[str, Any] = json.loads(content)
    return found


def test_a_run_is_shown_with_its_own_validation_text(run: Path, capfd: Capture) -> None:
    seen = inspect(capfd, f"checkpoint={run}")
    assert seen["passage"]["text"] == VALIDATION
    assert seen["passage"]["loss"] == pytest.approx(load(run).score(VALIDATION), abs=2e-3)
    assert ["Learnt from", "verse"] in seen["card"]
    assert seen["distance"]["network"][0][:2] == [1, 1]
    names = [feature["name"] for feature in seen["features"]]
    assert "inside quotes" in names
    assert "indentation" in seen["absent"]
    r = np.frombuffer(base64.b64decode(seen["correlations"]), "<i2")
    assert len(r) == 2 * 2 * 24 * len(names)
    assert str(run.parent) not in Path("inspect.html").read_text(encoding="utf-8")


def test_a_model_without_its_text_needs_a_text(run: Path, capfd: Capture) -> None:
    alone = run.parent / "alone.safetensors"
    facts = load(run).trained.facts
    without_fingerprint = {name: facts[name] for name in ("input_h5", "input_json")}
    for known in (without_fingerprint, {}):
        Model(replace(load(run).trained, facts=known)).save(alone)
        assert main(["inspect", f"checkpoint={alone}"]) == 2
        [line] = capfd.readouterr().err.splitlines()
        assert line.startswith("charrnn inspect: input_txt=null: the text of the model's training")
    assert not Path("inspect.html").exists()
    seen = inspect(capfd, f"checkpoint={alone}", "input_txt=verse.txt")
    assert "counts" not in seen["distance"]
