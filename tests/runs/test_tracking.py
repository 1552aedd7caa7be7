"""Loggers of other people's, offline."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_runs import Train, column


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the package offline. Its service ends with the test."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield
    wandb.teardown()


@pytest.mark.usefixtures("wandb")
def test_wandb(train: Train) -> None:
    folder = train("logger=wandb", "logger.wandb.offline=true", "trainer.max_steps=8")
    [written] = folder.glob("wandb/offline-run-*/*.wandb")
    content = written.read_bytes()
    assert b"val/loss" in content
    assert b"hidden_size" in content


def test_mlflow(train: Train, workplace: Path) -> None:
    pytest.importorskip("mlflow")
    folder = train("logger=mlflow", "trainer.max_steps=8")
    with sqlite3.connect(workplace / "mlflow.db") as database:
        query = "select step, value from metrics where key = 'val/loss'"
        found = dict(database.execute(query).fetchall())
        options = dict(database.execute("select key, value from params").fetchall())
    assert found == pytest.approx(column(folder, "val/loss"))
    assert options["model/hidden_size"] == "16"
