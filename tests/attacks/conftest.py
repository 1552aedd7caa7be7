"""A victim's folder with runs that somebody else could have made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests.attacks.stranger import LITTLE, SECRET, Listener, Refused, content_of
from tests.small_runs import Capture, Train


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("SECRET", SECRET)
    made = Listener()
    yield made
    made.server.close()
    assert made.heard == []


@pytest.fixture
def refused(
    workplace: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> Refused:
    """Run a command line that is refused in one line; nothing runs, is sent or written."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))

    def run(*words: str) -> str:
        capfd.readouterr()
        before = content_of(workplace)
        code = main(words)
        out, err = capfd.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("charrnn ")
        assert not (workplace / "canary").exists()
        assert SECRET not in err
        after = content_of(workplace)
        assert {n for n in before | after if before.get(n) != after.get(n)} == set()
        return err

    return run


@pytest.fixture
def gift(trained: Train, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run, as a stranger gives it away."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    return trained(*LITTLE, folder="gift")
