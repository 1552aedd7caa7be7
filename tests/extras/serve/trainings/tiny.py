"""Trainings that take seconds, and a server's process without HTTP that trains them."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TINY = (
    *("trainer=cpu", "threads=1", "trainer.precision=32-true", "trainer.max_steps=2000"),
    *("model.hidden_size=16", "model.embedding_size=8", "model.num_layers=1"),
    *("data.batch_size=4", "data.seq_length=10", "checkpoint_every=500", "print_every=20"),
    "callbacks.samples.length=20",
)
# The folder is the working directory. Each line of standard input is a statement.
_PROGRAM = """
import sys
from pathlib import Path
from charrnn.extras.serve.trainings import worker as workers
from charrnn.extras.serve.trainings.store import Store
workers.WORDS, workers.TURN = sys.argv[3:], float(sys.argv[1])
store = Store()
assert store.open(make=True)
worker = workers.Worker(store, int(sys.argv[2]))

def add(name, text, **sources):
    with store.receive_text() as path:
        path.write_bytes(text)
        return store.add(path, name, "me", None, **sources)

worker.start()
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


def write_text(seed: int = 1) -> bytes:
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "Zoë", "run.\n"]
    chooser = random.Random(seed)
    return " ".join(chooser.choice(words) for _ in range(406)).encode()


class Trainer:
    """A process that trains in a folder."""

    def __init__(self, folder: Path, *words: str, turn: float, min_free: int) -> None:
        program = [sys.executable, "-c", _PROGRAM, str(turn), str(min_free), *(words or TINY)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, cwd=folder)

    def do(self, statement: str) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def training_in(
    folder: Path, *words: str, turn: float = 1e9, min_free: int = 0
) -> Iterator[Trainer]:
    trainer = Trainer(folder, *words, turn=turn, min_free=min_free)
    try:
        yield trainer
    finally:
        trainer.close()
