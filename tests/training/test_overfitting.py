"""A training whose validation has turned for good ends, where its length was not given."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.runs.folder import recorded
from tests.small_runs import SMALL, Train, metrics

# the training text says nothing about what is validated on, so that soon gets worse
TEXT = "abcdefgh" * 200 + "hgfedcba" * 50
OPEN = (
    *(word for word in SMALL if not word.startswith(("trainer.max", "checkpoint_every"))),
    *("data.input_txt=apart.txt", "model.dropout=0", "model.hidden_size=16", "optimizer.lr=1e-2"),
    *("logger=csv", "data.batch_size=8", "callbacks.samples.length=0", "trainer.max_steps=null"),
    *("trainer.max_epochs=null", "data.val_frac=0.2", "data.test_frac=0", "checkpoint_every=50"),
)


@pytest.fixture
def text(workplace: Path) -> Path:
    (workplace / "apart.txt").write_text(TEXT)
    return workplace


def test_it_ends_where_it_chose_its_length(
    text: Path, train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(*OPEN)
    steps = [int(row["step"]) for row in metrics(run) if row["val/loss"]]
    planned = recorded(run)["trainer"]["max_steps"]
    assert steps[-1] < planned
    assert "stopping: more passes over so short a text make it worse" in capfd.readouterr().err
    train(f"resume={run}", small=False)
    assert "is finished" in capfd.readouterr().err


def test_a_length_that_is_given_holds(text: Path, train: Train) -> None:
    run = train(*OPEN, "trainer.max_steps=400")
    assert int(metrics(run)[-1]["step"]) == 400
    assert recorded(run)["callbacks"]["overfitting"]["margin"] is None
