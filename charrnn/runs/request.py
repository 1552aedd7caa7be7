"""What a run is asked to do, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Config = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One `charrnn train`.

    Attributes:
        config: composed today, complete, checked, of plain values.
        given: the options that were asked for rather than left at their defaults, dotted; a
            choice of a group counts as the group's name.
        folder: where a new run goes.
        overrides, hydra: as `.hydra/` records them.
        job_id: what a launcher calls this job of a sweep; "" outside of one.
        targets: what may be built: every ``_target_`` that is named today.
        fixed: the options that a resume cannot change.
        check: holds a config that was recorded elsewhere to the same rules as today's.
    """

    config: Config
    given: tuple[str, ...]
    folder: Path
    overrides: tuple[str, ...]
    hydra: dict[str, Any]
    job_id: str
    targets: frozenset[str]
    fixed: frozenset[str]
    check: Callable[[Config], Config]


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        folder: of the run.
        best_loss: the lowest validation loss, nats per character; None without validation.
        step: where that was, or the last step.
    """

    folder: Path
    best_loss: float | None
    step: int
    seconds: float

    @property
    def objective(self) -> float | None:
        """What a sweep minimises."""
        return self.best_loss
