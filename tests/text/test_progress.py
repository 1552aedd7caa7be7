"""Test the messages during long work."""

from __future__ import annotations

import io
import time

import pytest
from tqdm import tqdm

from charrnn.say import ProgressDisplay, say


def test_a_bar_is_one_line_that_goes_away_and_a_line_beside_it_stands_alone(
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
    monkeypatch.setattr("tqdm.tqdm", tqdm)
    with tqdm(total=2, file=terminal, mininterval=0) as bar:
        bar.update()
        say("a file's name\x1b[2J")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in terminal.getvalue().split("\n")]
    assert "a file's name\\x1b[2J" in lines
