"""TensorBoard shows a sweep of charrnn, with the numbers that people look for first."""

from __future__ import annotations

import re
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
            titles = [re.sub(r"\s", "", each) for each in cards.locator(".tag").all_inner_texts()]
            assert titles[0] == "train/loss"
            assert all(each.startswith(("train/", "val/")) for each in titles[:4])
            page.goto(f"{address}#hparams")
            page.get_by_text("Trial ID").first.wait_for(timeout=60_000)
            options = page.get_by_text(re.compile(r"^\s*[a-z_]+\.[a-z_]+\s*$"))
            shown = options.locator("visible=true").all_inner_texts()
            assert shown[0].strip() == "model.hidden_size"
        finally:
            board.terminate()
