"""Runs with models of random weights, and a real server process on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from charrnn.model import Model
from charrnn.runs.result import Result
from charrnn.text.prompt import PRIMER_FACT
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import make_model

PRIMED = {PRIMER_FACT: "Before all,\nthere was this.\n"}
MODEL = Model(replace(make_model(), facts=PRIMED))
OTHER = Model(make_model("gru", seed=4))
_TOKENS = Vocabulary.from_tokens(["a", "\n", " ", "[195]", "[169]", "[255]"])
BYTES = Model(make_model(vocabulary=_TOKENS, conviction=1))


def add_run(folder: Path, time: int, model: Model = MODEL, text: str = "") -> Path:
    """Make the folder of a run that was written at a time and, if given, on the text of a name."""
    folder.mkdir(parents=True)
    Result(folder, text).write()
    os.utime(folder / "result.json", (time, time))
    model.save(folder / "model.safetensors")
    return folder


class Server:
    """A running `charrnn serve`.

    Attributes:
        url: of it, without a slash at its end.
        lines: of standard error, so far.
    """

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "charrnn", "serve", *options, "port=0"]
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
def serving(*options: str) -> Iterator[Server]:
    server = Server(*options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.wait()
