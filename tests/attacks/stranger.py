"""What somebody else changes in a run, a canary, and a listener."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.small_runs import SMALL

SECRET = "hunter2"
LITTLE = ("model.hidden_size=4", "model.embedding_size=4", "callbacks.samples.length=0",
          "trainer.max_steps=3")  # fmt: skip
TINY = (*SMALL, *LITTLE)
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


def tampered(folder: Path, where: str, value: Any) -> None:
    """Put a value at a dotted place of a run's config."""
    path = folder / ".hydra" / "config.yaml"
    content = node = yaml.safe_load(path.read_text("utf-8"))
    *parents, last = where.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
