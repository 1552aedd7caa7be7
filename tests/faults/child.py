"""A command line in a real process, with a fault put into it, at the cost of a fork.

multiprocessing's fork server imports torch and Lightning once and forks itself for each
process. A fault is a point in a phase of the run (`POINTS`) and what happens there.
"""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from charrnn import evaluation, files
from charrnn.__main__ import main
from charrnn.cli import front  # noqa: F401  (read once, for all that are forked)
from charrnn.errors import STOP_SIGNALS
from charrnn.models import checkpoint, model_file
from charrnn.runs import folder as folders
from charrnn.training import (
    AtomicCheckpointIO,
    LanguageModel,
    MetricsCSV,
    Samples,
    TextDataModule,
    TrainingLog,
)

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])

IN_A_WRITE = ("begin", "half", "sync", "replace", "replaced", "end")
# the phases of a run, and the points in each at which a fault can be put
POINTS = {
    "start": ("read", "data", "record", "optimizer", "fit"),
    "step": ("forward", "backward", "update"),
    "validation": ("begin", "loss", "end"),
    "checkpoint": IN_A_WRITE,
    "export": IN_A_WRITE,
    "sample": IN_A_WRITE,
    "metrics": IN_A_WRITE,
}
DEADLINE = 120  # seconds for one process


def kill() -> None:
    send(signal.SIGKILL)


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


def fail() -> None:
    raise RuntimeError("an injected fault")


def limit_files(size: int) -> None:
    """Make every write beyond `size` bytes of a file fail."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@dataclass
class Fault:
    """An action when the process reaches a point of a phase for the n-th time."""

    phase: str
    point: str
    count: int = 1
    act: Callable[[], object] = kill


def run(
    words: list[str], folder: Path, *faults: Fault, code: int | None = 0, seconds: float = DEADLINE
) -> int:
    """Run `charrnn WORDS` in a process in `folder`, which writes to log.txt, to its end.

    It is killed after this many seconds. Returns the exit code, negative for a signal, which is
    checked to be `code` (None: any).
    """
    # a pipe, which is neither limited in size nor on a full disk
    said, speaking = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_work, args=(words, folder, faults, speaking))
    process.start()
    speaking.close()
    log = folder / "log.txt"
    listener = threading.Thread(target=_listen, args=(said, log))
    listener.start()
    process.join(seconds)
    hangs = process.exitcode is None and seconds == DEADLINE
    process.kill()  # nothing, where it has ended
    process.join()
    listener.join()
    found = process.exitcode
    assert found is not None
    last = log.read_text("utf-8", "replace")[-2000:]
    assert not hangs, f"{words} hangs\n{last}"
    assert code in (None, found), f"{words} ended with {found}\n{last}"
    return found


def _listen(said: Connection, path: Path) -> None:
    with said, open(path, "ab") as log:
        while piece := os.read(said.fileno(), 65536):
            log.write(piece)


def _work(words: list[str], folder: Path, faults: tuple[Fault, ...], speaking: Connection) -> None:
    for signum in STOP_SIGNALS:  # one that is ignored, as in the background of a shell, stays so
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.dup2(speaking.fileno(), 1)
    os.dup2(speaking.fileno(), 2)
    speaking.close()
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    _Injection(faults).install()
    sys.argv = ["charrnn", *words]
    sys.exit(main())


class _Injection:
    """The hooks in a process: which phase it is in, and where a fault strikes."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self.phase = "start"

    def reach(self, point: str) -> None:
        for fault in self.faults:
            if (fault.phase, fault.point) == (self.phase, point):
                fault.count -= 1
                if fault.count == 0:
                    fault.act()

    def install(self) -> None:
        self._wrap(checkpoint, "read", before="read")
        self._wrap(TextDataModule, "setup", before="data")
        self._wrap(folders, "record", before="record")
        self._wrap(LanguageModel, "configure_optimizers", before="optimizer")
        self._wrap(TrainingLog, "on_train_start", before="fit")
        self._wrap(LanguageModel, "on_train_batch_start", "step...")
        self._wrap(LanguageModel, "training_step", before="forward")
        self._wrap(LanguageModel, "configure_gradient_clipping", before="backward")
        self._wrap(TrainingLog, "on_train_batch_end", before="update")
        self._wrap(LanguageModel, "on_validation_epoch_start", "validation...", before="begin")
        self._wrap(functional, "nll_loss", after="loss")
        self._wrap(LanguageModel, "on_validation_epoch_end", after="end")
        self._wrap(AtomicCheckpointIO, "save_checkpoint", "checkpoint", "begin", "end")
        self._wrap(model_file, "save", "export", "begin", "end")
        self._wrap(Samples, "write_sample", "sample", "begin", "end")
        self._wrap(MetricsCSV, "write", "metrics", "begin", "end")
        self._wrap(files, "_sync", before="sync")
        self._wrap(os, "replace", before="replace", after="replaced")
        self._write_in_halves()

    def _wrap(
        self, owner: Any, name: str, phase: str = "", before: str = "", after: str = ""
    ) -> None:
        """Wrap a function to set the phase while it runs, and report points around it.

        A phase that ends with "..." stays until another begins.
        """
        function: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            outer = self.phase
            self.phase = phase.removesuffix("...") or outer
            self.reach(before)
            result = function(*arguments, **named)
            self.reach(after)
            if not phase.endswith("..."):
                self.phase = outer
            return result

        setattr(owner, name, call)

    def _write_in_halves(self) -> None:
        """Write files in two steps, with a point between them."""
        save, write_bytes = torch.save, Path.write_bytes

        def save_in_halves(content: Any, file: Any, **named: Any) -> None:
            whole = io.BytesIO()
            save(content, whole, **named)
            data = whole.getvalue()
            file.write(data[: len(data) // 2])
            file.flush()
            self.reach("half")
            file.write(data[len(data) // 2 :])

        def write_bytes_in_halves(path: Path, data: bytes) -> int:
            write_bytes(path, data[: len(data) // 2])
            self.reach("half")
            return write_bytes(path, data)

        torch.save = save_in_halves
        Path.write_bytes = write_bytes_in_halves  # type: ignore[assignment,method-assign]


assert evaluation.F is functional
