"""Whole runs, runs that are broken and resumed, and what tells the one from the other."""

from __future__ import annotations

import collections
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from tests.conftest import write_corpus
from tests.faults.child import POINTS, Fault, Process
from tests.small_runs import SMALL, assert_same, metrics

__all__ = ["write_corpus"]

# 50 steps of 20 windows an epoch, and dropout, so that random numbers count
OPTIONS = (*SMALL, "trainer.max_steps=50", "model.dropout=0.25", "print_every=3")
SPEED = "characters_per_second"
DEADLINE = 120  # seconds for one process


class Failed(Exception):
    """A process ended as it should not have."""


def run(
    words: list[str],
    folder: Path,
    *faults: Fault,
    code: int | None = 0,
    env: dict[str, str] | None = None,
) -> int:
    """Run a command line to its end; its exit code, negative for a signal.

    Raises:
        Failed: it did not end with `code` (None: any).
    """
    process = Process(words, folder, *faults, env=env)
    found = process.wait(DEADLINE)
    if found is None:
        process.signal(signal.SIGKILL)
        raise Failed(f"{' '.join(words)}: did not end in {DEADLINE} s")
    if code is not None and found != code:
        said = process.log.read_text("utf-8", "replace").splitlines()[-30:]
        raise Failed("\n".join([f"{' '.join(words)}: ended with {found}, not {code}", *said]))
    return found


def start(name: str, *overrides: str) -> list[str]:
    return ["train", *OPTIONS, f"hydra.run.dir={name}", *overrides]


def go_on(folder: Path, name: str, *overrides: str) -> list[str]:
    """The command line after a kill: a resume, or the start again where nothing had begun."""
    try:
        recorded = yaml.safe_load((folder / name / ".hydra" / "config.yaml").read_text("utf-8"))
    except FileNotFoundError:
        recorded = None
    if not recorded or "init_from" not in recorded:  # Hydra was killed while it wrote this
        return start(name, *overrides)
    return ["train", f"resume={name}", *(o for o in overrides if o.startswith("trainer.max"))]


@dataclass
class Broken:
    """A run that is broken again and again, and resumed.

    Attributes:
        kills: how many fell into each phase.
        resumes: how often it was started again.
    """

    folder: Path
    name: str
    overrides: tuple[str, ...]
    seed: int = 0
    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    resumes: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._seconds = 1.0
        self._started = False

    def words(self, *more: str) -> list[str]:
        self.resumes += self._started
        self._started = True
        return go_on(self.folder, self.name, *self.overrides, *more)

    def kill_at(self, phase: str, point: str, count: int, *more: str) -> bool:
        """Kill it when it comes to a point for the n-th time; False if it never does."""
        began = time.monotonic()
        code = run(self.words(*more), self.folder, Fault(phase, point, count), code=None)
        if code == 0:
            self._seconds = time.monotonic() - began
            return False
        if code != -signal.SIGKILL:
            raise Failed(f"{self.name}: ended with {code}:\n{self.log()}")
        self.kills[phase] += 1
        return True

    def kill_sometime(self, *more: str) -> bool:
        """Kill it from outside, at a random moment."""
        process = Process(self.words(*more), self.folder)
        if process.wait(self._random.uniform(0.05, self._seconds)) is None:
            process.signal(signal.SIGKILL)
        code = process.wait(DEADLINE)
        if code == -signal.SIGKILL:
            self.kills[process.phase] += 1
        elif code != 0:
            raise Failed(f"{self.name}: ended with {code}:\n{self.log()}")
        return code != 0

    def finish(self, *more: str) -> None:
        run(self.words(*more), self.folder)

    def log(self) -> str:
        return "\n".join((self.folder / "log.txt").read_text("utf-8", "replace").splitlines()[-30:])


def points(generator: random.Random) -> Iterator[tuple[str, str, int]]:
    """Points to kill at, for ever: every phase in turn, the rest by chance."""
    while True:
        for phase, names in POINTS.items():
            yield phase, generator.choice(names), generator.randint(1, 6)


# -- what must be the same -------------------------------------------------------------


def differences(whole: Path, broken: Path, *, but: tuple[str, ...] = ()) -> list[str]:
    """What a broken run lost, by name; nothing, if all is well.

    Args:
        but: names that need not be the same.
    """
    one, other = _outcome(whole), _outcome(broken)
    lost = [name for name in one if name not in but and not _same(one[name], other.get(name))]
    lost += [f"left behind: {path}" for path in sorted(broken.rglob("*.part"))]
    lost += [f"doubled in TensorBoard: {step}" for step in _doubled(broken)]
    return lost


def _outcome(folder: Path) -> dict[str, Any]:
    last = checkpoint.read(folder / "checkpoints" / "last.ckpt")
    best = checkpoint.read(folder / "checkpoints" / "best.ckpt")
    return {
        "weights": last["state_dict"],
        "optimizer": last["optimizer_states"],
        "carried state and random numbers": last[ENTRY]["ranks"],
        "schedule": last["lr_schedulers"],
        "callbacks": last["callbacks"],
        "best so far": (last[ENTRY]["best_loss"], last[ENTRY]["best_step"]),
        "step": last["global_step"],
        "best.ckpt": (best["state_dict"], best["optimizer_states"], best[ENTRY]["ranks"]),
        "model file": (folder / "model.safetensors").read_bytes(),
        "metrics.csv": metrics(folder),
        "TensorBoard": _curves(folder),
        "samples": {p.name: p.read_bytes() for p in (folder / "samples").glob("*")},
    }


def _points(folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    """What TensorBoard itself makes of the event files: all that they hold are tensors to it.

    It leaves out what a later start takes back (`purge_step`). Of a step's epoch both the loss and
    the validation tell, with the same value.
    """
    if not (folder / "tensorboard").exists():
        return {}
    accumulator = EventAccumulator(str(folder / "tensorboard"), {"tensors": 0})
    accumulator.Reload()
    points = {
        tag: [(e.step, e.tensor_proto.SerializeToString()) for e in accumulator.Tensors(tag)]
        for tag in accumulator.Tags()["tensors"]
        if not tag.startswith(("_hparams_", "config", "custom_scalars"))  # each start tells its own
    }
    return {tag: list(dict.fromkeys(p)) if tag == "epoch" else p for tag, p in points.items()}


def _curves(folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    return {tag: found for tag, found in _points(folder).items() if tag != SPEED}


def _doubled(folder: Path) -> list[str]:
    """Curves and texts that hold a step twice."""
    found = {tag: [step for step, _ in points] for tag, points in _points(folder).items()}
    return [tag for tag, steps in found.items() if len(steps) != len(set(steps))]


def _same(one: Any, other: Any) -> bool:
    try:
        assert_same(one, other)
    except AssertionError:
        return False
    return True
