"""What one training run is asked to do, and how it ended, as processes can tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.models import checkpoint


@dataclass(frozen=True)
class Task:
    """Plain values only, so that it can travel as JSON.

    Attributes:
        config: with every automatic choice made.
        folder: of the run, absolute.
        input_h5, input_json: the data, absolute.
        checkpoint: the one that the run goes on from; None for a new run.
    """

    config: dict[str, Any]
    folder: str
    input_h5: str
    input_json: str
    checkpoint: str | None


@dataclass(frozen=True)
class Start:
    """Where a run begins: a checkpoint that it goes on from, or nothing.

    Attributes:
        path: the checkpoint file; None for a new run.
        content: what `charrnn.models.checkpoint.read_run` made of it.
    """

    path: Path | None = None
    content: dict[str, Any] | None = None

    @classmethod
    def at(cls, path: Path | None) -> Start:
        """Raises InputError: the checkpoint cannot be read."""
        return cls() if path is None else cls(path, checkpoint.read_run(path))

    @property
    def step(self) -> int:
        return int(self.content["global_step"]) if self.content else 0

    @property
    def entry(self) -> dict[str, Any]:
        return dict(self.content[checkpoint.ENTRY]) if self.content else {}


@dataclass(frozen=True)
class Result:
    """How a run ended: the best validation loss (None without validation), at which step."""

    best_loss: float | None
    best_step: int
    seconds: float
    finished: bool
