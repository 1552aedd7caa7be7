"""TensorBoard on a sweep: what it shows is what the runs wrote."""

from __future__ import annotations

import csv
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import REPOSITORY

pytestmark = pytest.mark.browser

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

SWEEP = (
    *("data.input_txt=corpus.txt", "data.batch_size=4", "data.seq_length=10"),
    *("model.embedding_size=8", "trainer=cpu", "trainer.threads=1", "trainer.precision=32-true"),
    *("validate_every=10", "print_every=5", "trainer.max_steps=40"),
    *("model.hidden_size=8,16", "optimizer.lr=1e-3,2e-2", "hydra.sweep.dir=sweep"),
)


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Its address."""
    words = [sys.executable, "-m", "tensorboard.main", f"--logdir={folder}", "--port=0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = iter(process.stderr.readline, "")
            yield next(found[0] for line in lines if (found := re.search(r"http://\S+", line)))
        finally:
            process.terminate()
            process.stderr.read()


class Shown:
    """TensorBoard in a browser.

    Attributes:
        runs: name there -> folder.
    """

    def __init__(self, context: Any, address: str, sweep: Path) -> None:
        self.page = context.new_page()
        self.address = address
        self.runs = {f"{run.name}/tensorboard": run for run in sorted(sweep.glob("[0-9]_*"))}

    def open(self, tab: str) -> Any:
        self.page.goto(f"{self.address}#{tab}")
        return self.page


@pytest.fixture(scope="module")
def shown(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    place = tmp_path_factory.mktemp("sweep")
    generator = random.Random(1)
    text = "".join(generator.choice("abcde fg\n") for _ in range(4000))
    (place / "corpus.txt").write_text(text)
    words = [sys.executable, "-m", "charrnn", "train", "-m", *SWEEP]
    subprocess.run(words, cwd=place, env=ENVIRONMENT, check=True, capture_output=True)
    context = chromium.new_context(viewport={"width": 1600, "height": 900})
    context.set_default_timeout(30000)
    with tensorboard(place / "sweep") as address:
        yield Shown(context, address, place / "sweep")
    context.close()


def losses(run: Path) -> list[float]:
    with open(run / "metrics.csv", newline="") as file:
        return [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]


def test_scalars_are_those_of_metrics_csv(shown: Shown) -> None:
    page = shown.open("timeseries")
    page.locator('input[placeholder="Filter tags (regex)"]').fill("^val/loss$")
    card = page.locator("scalar-card").first
    card.get_by_text(next(iter(shown.runs))).wait_for()
    told = card.inner_text()
    for name, run in shown.runs.items():
        _, _, after = told.partition(name)
        _smoothed, value, step = after.split()[:3]
        assert float(value) == pytest.approx(losses(run)[-1], abs=1e-4)
        assert step == "40"
    # each run once, and nothing beside them
    rows = page.locator("runs-data-table tb-data-table-content-row")
    names = [
        name for name in shown.runs for row in rows.all_inner_texts() if name in row.split("\n")
    ]
    assert sorted(names) == sorted(shown.runs)
    assert rows.count() == 4


def test_both_losses_in_one_chart(shown: Shown) -> None:
    page = shown.open("custom_scalars")
    page.get_by_text("training and validation").wait_for()
    page.get_by_text("Matches (12)").wait_for()  # of each run two, and that with its counts


def test_samples_as_text(shown: Shown) -> None:
    page = shown.open("text")
    run = list(shown.runs.values())[-1]
    sample = (run / "samples" / "step-0000040.txt").read_text()
    longest = max(sample.splitlines(), key=len)
    page.get_by_text(longest).first.wait_for()


def test_hparams_begin_with_what_was_swept_and_have_every_runs_loss(shown: Shown) -> None:
    page = shown.open("hparams")
    page.get_by_text("best/val_loss").first.wait_for()
    cells = page.locator("tf-hparams-table-view vaadin-grid-cell-content")
    cells.filter(has_text=next(iter(shown.runs))).first.wait_for()
    texts = [text.strip() for text in cells.all_inner_texts()]
    header = texts[texts.index("Trial ID") :]
    columns = header[: next(i for i, text in enumerate(header) if text in shown.runs)]
    assert columns[2:4] == ["model.hidden_size", "optimizer.lr"]
    place = columns.index("best/val_loss")
    for name, run in shown.runs.items():
        row = texts[texts.index(name) :]
        assert float(row[place]) == pytest.approx(min(losses(run)), abs=1e-3)
    page.get_by_text("Parallel Coordinates View").click()
    lines = page.locator("tf-hparams-parallel-coords-plot g.foreground path")
    lines.nth(3).wait_for(state="attached")
    assert lines.count() == 4
