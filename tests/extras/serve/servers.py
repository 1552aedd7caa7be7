"""A real server process, on a free port of the loopback address."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from charrnn.model import Model
from charrnn.text.prompt import PRIMER_FACT
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import make_model

PRIMED = {PRIMER_FACT: "Before all,\nthere was this.\n"}
MODEL = Model(replace(make_model(), facts=PRIMED))
CODE = {PRIMER_FACT: "def f(x):\n    if x:\n        return\n"}
OTHER = Model(replace(make_model("gru", seed=4), facts=CODE))
_TOKENS = Vocabulary.from_tokens(["a", "\n", " ", "[195]", "[169]", "[255]"])
BYTES = Model(replace(make_model(vocabulary=_TOKENS, conviction=1), facts={"is_list": True}))
CORPUS = "It was a dark and stormy night; the rain fell in torrents. Café 😀 au lait!"


class Server:
    """A running `charrnn serve`.

    Args:
        patch: Python code that runs before it.

    Attributes:
        url: of it, without a slash at its end.
        lines: of standard error, so far.
    """

    def __init__(self, *options: str, patch: str = "") -> None:
        code = f"{patch}\nfrom charrnn.__main__ import main\nraise SystemExit(main())"
        program = ["-c", code] if patch else ["-m", "charrnn"]
        command = [sys.executable, *program, "serve", "port=0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.lines: list[str] = []
        found = None
        while found is None:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError("".join(self.lines))
            self.lines.append(line)
            found = re.search(r"serving .* at (http://\S+)", line)
        self.url = found[1]
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr or ()))
        self._reader.start()

    @contextmanager
    def connect(self, sent: bytes = b"") -> Iterator[socket.socket]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(sent)
            yield connection

    def client(self, **how: Any) -> Any:
        """Return an HTTP client of it."""
        import httpx

        return httpx.Client(base_url=self.url, timeout=60, **how)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=60)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@contextmanager
def serving(*options: str, patch: str = "") -> Iterator[Server]:
    server = Server(*options, patch=patch)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.wait()


@contextmanager
def serving_main(models: Path, *options: str, patch: str = "") -> Iterator[tuple[Server, Any]]:
    """Yield a server of the main model and an HTTP client of it."""
    path = f"checkpoint={models}/main.safetensors"
    with serving(path, *options, patch=patch) as server, server.client() as client:
        yield server, client


def request_of(body: object) -> bytes:
    """Return the bytes of a request for a completion."""
    data = json.dumps(body).encode()
    head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data
