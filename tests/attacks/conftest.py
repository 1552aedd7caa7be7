"""A victim's folder with runs that a stranger could have made."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from tests.conftest import Patch
from tests.small_runs import SMALL, Capture, Train
from tests.tools import refusal_of

SECRET = "hunter2"
LITTLE = ("model.hidden_size=4", "model.embedding_size=4", "callbacks.samples.length=0",
          "trainer.max_steps=3")  # fmt: skip
TINY = (*SMALL, *LITTLE)
# what runs in these attacks, if anything does
CANARY = {"_target_": "os.mkdir", "path": "canary"}


def content_of(folder: Path) -> dict[str, bytes | str]:
    """List every file and link in a folder."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in paths
    }


Refused = Callable[..., str]


def tamper(folder: Path, where: str, value: Any) -> None:
    """Put a value at a dotted place of the entry in a run's last.ckpt, such as config.seed."""
    path = folder / "checkpoints" / "last.ckpt"
    saved = checkpoint.read(path)
    *parents, last = where.split(".")
    node = saved[ENTRY]
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    checkpoint.write(path, saved)


@pytest.fixture
def listener(monkeypatch: Patch) -> Iterator[str]:
    """Listen on loopback. Fail if a client connects."""
    monkeypatch.setenv("SECRET", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture
def refusal_line(workplace: Path, listener: str, monkeypatch: Patch, capfd: Capture) -> Refused:
    """Run a command line that is refused in one line; nothing runs, is sent or written."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))

    def run(*words: str) -> str:
        before = content_of(workplace)
        err = refusal_of(capfd, *words)
        assert err.startswith("charrnn ")
        assert not (workplace / "canary").exists()
        assert SECRET not in err
        assert {*before.items()} ^ {*content_of(workplace).items()} == set()
        return err

    return run


@pytest.fixture
def gift(run_copy: Train, workplace: Path, monkeypatch: Patch) -> Path:
    """Train a run that a stranger could give away."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    return run_copy(*LITTLE, folder="gift")
