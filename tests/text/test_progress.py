"""Test the progress bar of long work."""

from __future__ import annotations

import io
import time

import pytest
from tqdm import tqdm

from charrnn.say import ProgressDisplay


def test_a_progress_bar_is_one_line_that_goes_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("tqdm.tqdm", lambda **how: tqdm(**{**how, "delay": 0.01, "mininterval": 0}))
    with ProgressDisplay("reading") as report:
        for done in range(5):
            report(done, 4)
            time.sleep(0.02)
    text = terminal.getvalue()
    assert "\n" not in text
    assert "\rreading: " in text
    assert not text.rsplit("\r", 2)[1].strip()  # blank
