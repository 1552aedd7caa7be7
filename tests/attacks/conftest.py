"""A victim's folder with runs that a stranger could have made."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from tests.small_runs import SMALL, Capture, Train

SECRET = "hunter2"
LITTLE = ("model.hidden_size=4", "model.embedding_size=4", "callbacks.samples.length=0",
          "trainer.max_steps=3")  # fmt: skip
TINY = (*SMALL, *LITTLE)
# what runs in these attacks, if anything does
CANARY = {"_target_": "os.mkdir", "path": "canary"}


def content_of(folder: Path) -> dict[str, bytes | str]:
    """List every file and link in a folder."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found


Refused = Callable[..., str]


def tamper(folder: Path, where: str, value: Any, in_checkpoint: bool = False) -> None:
    """Put a value at a dotted place of a run's config, and of the config in last.ckpt."""
    path = folder / ".hydra" / "config.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    put(content, where, value)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    if in_checkpoint:
        path = folder / "checkpoints" / "last.ckpt"
        saved = checkpoint.read(path)
        put(saved[ENTRY]["config"], where, value)
        checkpoint.write(path, saved)


def put(node: Any, where: str, value: Any) -> None:
    *parents, last = where.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Listen on loopback. Fail if a client connects."""
    monkeypatch.setenv("SECRET", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture
def refusal_line(
    workplace: Path, listener: str, monkeypatch: pytest.MonkeyPatch, capfd: Capture
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
def gift(run_copy: Train, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Train a run that a stranger could give away."""
    monkeypatch.setenv("CHARRNN_CACHE", str(workplace / "cache"))
    return run_copy(*LITTLE, folder="gift")
