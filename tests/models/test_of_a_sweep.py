"""The model of a sweep's folder is its winner's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charrnn.__main__ import main

MODELS = Path(__file__).parents[1] / "data" / "models"


def test_a_sweep_stands_for_its_winner(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    losses = {"0_lr=1": ("gru", "2.5"), "1_lr=2": ("lstm", "1.5"), "2_lr=3": ("rnn", "nan")}
    for name, (kind, loss) in losses.items():
        folder = tmp_path / "sweep" / name
        folder.mkdir(parents=True)
        shutil.copy(MODELS / f"{kind}.safetensors", folder / "model.safetensors")
        (folder / "metrics.csv").write_text(f"step,val/loss\n1,3.5\n2,\n3,{loss}\n")
    (tmp_path / "sweep" / "3_failed").mkdir()

    def sampled(path: Path) -> tuple[str, str]:
        assert main(["sample", f"checkpoint={path}", "seed=1", "length=50"]) == 0
        out, err = capfd.readouterr()
        return out, err

    text, told = sampled(tmp_path / "sweep")
    assert text == sampled(tmp_path / "sweep" / "1_lr=2")[0]
    assert told == f"the best run of {tmp_path}/sweep: 1_lr=2\n"
    shutil.rmtree(tmp_path / "sweep" / "1_lr=2")
    shutil.rmtree(tmp_path / "sweep" / "0_lr=1")
    text, told = sampled(tmp_path / "sweep")
    assert "2_lr=3" in told  # its first validation
