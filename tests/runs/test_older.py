"""Runs that an older version wrote are read, resumed as it would have, and sampled."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.models import checkpoint, model_file

OLD = Path(__file__).resolve().parents[1] / "data" / "old"
LONGER = {
    "lstm": ["trainer.max_steps=130"],
    "gru": [],
    "rnn": ["trainer.max_epochs=5"],
}
# dropout draws in another way than it did: it goes on from there, and ends near there
DROPS = "lstm"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the text and copies of the old runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "cache"))
    shutil.copy(OLD / "text.txt", tmp_path)
    for name in LONGER:
        shutil.copytree(OLD / name, tmp_path / name, ignore=shutil.ignore_patterns("end"))
    return tmp_path


def assert_close(found: dict[str, Any], expected: dict[str, Any], atol: float = 2e-4) -> None:
    """The same weights, up to how another processor rounds; a wrong step is far beyond that."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=atol, err_msg=name)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    for row in found:
        del row["characters_per_second"]
    return found


@pytest.mark.parametrize("name", ["lstm", "rnn", pytest.param("gru", marks=pytest.mark.slow)])
def test_a_resume_ends_where_the_older_version_did(old: Path, name: str) -> None:
    assert main(["train", f"resume={name}", "data.input_txt=text.txt", *LONGER[name]]) == 0
    found = checkpoint.read_model(old / name / "checkpoints" / "last.ckpt")
    expected = model_file.load(OLD / name / "end" / "model.safetensors")
    assert_close(found.weights, expected.weights, 0.3 if name == DROPS else 2e-4)
    near = 0.5 if name == DROPS else 1e-4
    for ours, theirs in zip(
        rows(old / name / "metrics.csv"), rows(OLD / name / "end" / "metrics.csv"), strict=True
    ):
        assert ours.keys() == theirs.keys()
        for column, value in theirs.items():
            if value and column != "step":
                assert float(ours[column]) == pytest.approx(float(value), abs=near), column
            else:
                assert ours[column] == value, column


@pytest.mark.parametrize("name", LONGER)
def test_models_and_checkpoints_are_read(
    old: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in (*(old / name).glob("*.safetensors"), *(old / name / "checkpoints").glob("*.ckpt")):
        assert len(charrnn.load(path).generate(length=20, seed=1)) == 20
    words = ["evaluate", f"checkpoint={name}", "data.input_txt=text.txt", "json=true"]
    assert main(words) == 0
    assert json.loads(capfd.readouterr().out)["loss"] > 0


def test_a_sorted_list_stays_as_it_was(old: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its lines would be shuffled today, and an epoch's beginning might be."""
    Path("list.txt").write_text("".join(f"name {i:03}\n" for i in range(300)))
    small = ["trainer=cpu", "model.hidden_size=4", "data.batch_size=2", "trainer.max_steps=3"]
    words = ["train", "data.input_txt=list.txt", "data.lines=keep", *small]
    assert main([*words, "hydra.run.dir=run"]) == 0
    recorded = old / "run" / ".hydra" / "config.yaml"
    lines = recorded.read_text().splitlines(keepends=True)
    new = ("  line_ends:", "  lines:", "  shuffle:")
    recorded.write_text("".join(line for line in lines if not line.startswith(new)))
    assert len(lines) - len(recorded.read_text().splitlines()) == 3
    assert main(["train", "resume=run", "data.shuffle=true"]) == 2
    assert "data.shuffle=True: a resume cannot change it" in capfd.readouterr().err
    assert main(["train", "resume=run", "trainer.max_steps=5"]) == 0
    assert "going on from" in capfd.readouterr().err


def test_a_checkpoint_in_a_new_folder(old: Path) -> None:
    words = ["train", "resume=rnn/checkpoints/last.ckpt", "data.input_txt=text.txt"]
    assert main([*words, *LONGER["rnn"], "hydra.run.dir=new"]) == 0
    found = checkpoint.read_model(old / "new" / "checkpoints" / "last.ckpt")
    expected = model_file.load(OLD / "rnn" / "end" / "model.safetensors")
    assert_close(found.weights, expected.weights)


def test_what_a_resume_cannot_change(old: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "resume=lstm", "model.hidden_size=99"]) == 2
    assert "model.hidden_size=99: a resume cannot change it" in capfd.readouterr().err
    assert main(["train", "resume=lstm", "optimizer=sgd"]) == 2
    assert "a resume cannot change it (the run has torch.optim.Adam)" in capfd.readouterr().err
