"""A victim's folder with runs that somebody else could have made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests.attacks.stranger import SECRET, TINY, Listener, Refused, content_of
from tests.conftest import write_corpus


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("SECRET", SECRET)
    made = Listener()
    yield made
    made.server.close()
    assert made.heard == []


@pytest.fixture
def refused(
    workplace: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
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


@pytest.fixture(scope="session")
def given_away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a run of it, `gift`."""
    place = tmp_path_factory.mktemp("stranger")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_corpus(place)
        assert main(["train", *TINY, "hydra.run.dir=gift"]) == 0
    return place


@pytest.fixture
def gift(given_away: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That run, as a stranger gives it away."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    return Path(shutil.copytree(given_away / "gift", workplace / "gift"))
