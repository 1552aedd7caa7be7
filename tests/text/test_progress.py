"""What is said while something takes long."""

from __future__ import annotations

import io
import time

import pytest
from tqdm import tqdm

from charrnn.say import ProgressDisplay, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def read(monkeypatch: pytest.MonkeyPatch, delay: float, quiet: bool = False) -> str:
    """What a terminal gets of 0.1 s of work, where a bar comes after `delay`."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(
        "tqdm.tqdm", lambda **options: tqdm(**{**options, "delay": delay, "mininterval": 0})
    )
    with ProgressDisplay("reading", quiet=quiet) as report:
        for done in range(5):
            report(done, 4)
            time.sleep(0.02)
    return terminal.getvalue()


def test_a_terminal_has_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    text = read(monkeypatch, 0.01)
    assert "\n" not in text
    assert "\rreading: " in text
    assert not text.rsplit("\r", 2)[1].strip()  # blank
    assert text.endswith("\r")


def test_elsewhere_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    assert read(monkeypatch, 0.01) == ""


def test_a_line_beside_a_bar_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with tqdm(total=2, file=terminal, mininterval=0) as bar:
        bar.update()
        say("a file's name\x1b[2J")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in terminal.getvalue().split("\n")]
    assert "a file's name\\x1b[2J" in lines
