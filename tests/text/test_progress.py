"""What is said while something takes long."""

from __future__ import annotations

import io
import time

import pytest

from charrnn import say
from charrnn.say import ProgressDisplay, said_if_it_takes_long
from charrnn.text.preprocessing import STAGES


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(say.time, "monotonic", lambda: self.now)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def pass_over(clock: Clock, seconds: float, rate: float, quiet: bool = False) -> None:
    with ProgressDisplay(*STAGES, quiet=quiet) as report:
        total = int(seconds * rate)
        for _ in range(2):
            for step in range(int(seconds * 8) + 1):
                report(int(step * rate / 8), total)
                clock.now += 0.125


def test_nothing_is_said_of_what_is_over_in_two_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    pass_over(clock, 0.75, 1e9)
    pass_over(clock, 60, 1e6, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_elsewhere_a_line_comes_every_five_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    pass_over(clock, 12, 50e6)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "reading the text: 100 MB of 600 MB, 50.0 MB/s, 10 s left"
    assert [line.partition(":")[0] for line in lines] == (
        ["reading the text"] * 3 + ["writing the ids"] * 2
    )


def test_a_terminal_has_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(say, "_SILENT", 0.05)
    with ProgressDisplay(*STAGES) as report:
        for _ in range(2):
            for step in range(5):
                report(step, 4)
                time.sleep(0.11)
    shown = terminal.getvalue()
    assert "\n" not in shown
    assert "\rreading the text: " in shown
    assert "\rwriting the ids: " in shown
    assert not shown.rsplit("\r", 2)[1].strip()  # blank
    assert shown.endswith("\r")


def test_a_terminal_stays_empty_where_it_is_over_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with ProgressDisplay(*STAGES) as report:
        for step in range(3):
            report(step, 2)
            time.sleep(0.11)
    assert not terminal.getvalue().strip()


def test_an_unknown_total_is_left_out(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(*STAGES) as report:
        report(0, None)
        clock.now += 3
        report(6_000_000, None)
    assert capsys.readouterr().err == "reading the text: 6 MB, 2.0 MB/s\n"


def test_what_takes_long_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with said_if_it_takes_long("slow", seconds=0):
        time.sleep(0.2)
    with said_if_it_takes_long("fast", seconds=60):
        pass
    assert capsys.readouterr().err == "slow\n"
