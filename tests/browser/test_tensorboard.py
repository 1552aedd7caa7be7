"""TensorBoard shows a sweep of charrnn, with the numbers that people look for first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from tests.small_runs import SMALL

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_losses_and_swept_options_are_first(chromium: Any, workplace: Path) -> None:
    words = ("trainer.max_epochs=5", "model.hidden_size=8,16", "hydra.sweep.dir=sweep")
    assert main(["train", "-m", *SMALL, *words]) == 0
    command = [sys.executable, "-m", "tensorboard.main", "--logdir=sweep", "--port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as board:
        try:
            assert board.stderr is not None
            line = next(line for line in board.stderr if "http://" in line)
            address = line[line.index("http://") :].split()[0]
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{address}#timeseries")
            cards = page.locator("card-view")
            cards.nth(1).wait_for(timeout=60_000)
            titles = page.locator("card-view .tag").all_inner_texts()
            assert titles[:2] == ["train/loss", "val/loss"]
            page.screenshot(path="scalars.png")
            page.goto(f"{address}#hparams")
            page.get_by_text("model.hidden_size").first.wait_for(timeout=60_000)
            page.screenshot(path="hparams.png")
        finally:
            board.terminate()
