"""Loggers of other people's, offline."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_corpus
from tests.faults.child import run
from tests.faults.runs import start
from tests.small_runs import Train, metrics


def skip_without(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install -e '.[{package}]'")


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import the package, offline. Its service ends with the test."""
    skip_without("wandb")
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield wandb
    wandb.teardown()


def test_wandb(train: Train, wandb: Any) -> None:
    folder = train("logger=wandb", "logger.wandb.offline=true", "trainer.max_steps=8")
    [written] = folder.glob("wandb/offline-run-*/*.wandb")
    content = written.read_bytes()
    assert b"val/loss" in content
    assert b"hidden_size" in content
    assert b"../run" in content  # the name that `charrnn runs` prints
    assert metrics(folder)[-1]["step"] == "8"


@pytest.mark.slow
def test_wandb_refuses(tmp_path: Path) -> None:
    skip_without("wandb")
    write_corpus(tmp_path)
    nobody = {"WANDB_API_KEY": "", "WANDB_BASE_URL": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    env = {"WANDB_SILENT": "true", "WANDB_MODE": "online", "NETRC": str(tmp_path / "none")}
    run(start("run", "logger=wandb"), tmp_path, code=1, env={**nobody, **env})
    said = (tmp_path / "log.txt").read_text("utf-8")
    last = said.rstrip().splitlines()[-1]
    assert last.startswith("charrnn train: logger.wandb: cannot be started (")
    assert "Traceback" not in said


def test_mlflow(train: Train, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without("mlflow")
    folder = train("logger=mlflow", "trainer.max_steps=8")
    with sqlite3.connect(workplace / "mlflow.db") as database:
        query = "select step, value from metrics where key = 'val/loss'"
        found = dict(database.execute(query).fetchall())
        options = dict(database.execute("select key, value from params").fetchall())
    logged = {
        int(row["step"]): float(row["val/loss"]) for row in metrics(folder) if row["val/loss"]
    }
    assert found == pytest.approx(logged)
    assert options["model/hidden_size"] == "16"
