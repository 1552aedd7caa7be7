"""A victim's folder: runs that somebody else could have made, a canary, and a listener."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from tests.faults.runs import write_corpus
from tests.training.conftest import SMALL, workplace

__all__ = ["workplace"]

SECRET = "hunter2"
TINY = (*SMALL, "model.hidden_size=4", "model.embedding_size=4", "callbacks.samples.length=0",
        "trainer.max_steps=3")  # fmt: skip
# what runs in these attacks, if anything does
CANARY = {"_target_": "os.mkdir", "path": "canary"}


class Listener:
    """A server on loopback that nobody must talk to."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.heard: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    self.heard.append(connection.recv(4096))
                except OSError:
                    self.heard.append(b"")


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("SECRET", SECRET)
    made = Listener()
    yield made
    made.server.close()
    assert made.heard == []


def content_of(folder: Path) -> dict[str, bytes | str]:
    """Every file and link in a folder."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found


Refused = Callable[..., str]


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


def tampered(folder: Path, change: Callable[[dict[str, Any]], Any], name: str = "config") -> None:
    """Change a YAML file of a run."""
    path = folder / ".hydra" / f"{name}.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def tampered_sweep(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what a sweep records."""
    path = folder / "sweep.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
