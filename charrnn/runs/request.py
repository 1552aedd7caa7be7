"""What a run is asked to do, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.runs.record import Choice

Config = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One `charrnn train`.

    Attributes:
        config: composed today, complete, checked, of plain values.
        given: the options that were asked for rather than left at their defaults, dotted; a
            choice of a group counts as the group's name.
        folder: where a new run goes.
        choices: group -> the name or names that are chosen in it today.
        overrides, hydra: as `.hydra/` records them.
        flags: those of the command line that say where YAML files lie.
        job_id: what a launcher calls this job of a sweep; "" outside of one.
        fixed: the options that a resume cannot change.
        check: holds a config that was recorded elsewhere to the same rules as today's.
        composed_with: what today's command line composes with recipes (group -> choice) besides.
    """

    config: Config
    given: tuple[str, ...]
    folder: Path
    choices: Mapping[str, Choice]
    overrides: tuple[str, ...]
    hydra: dict[str, Any]
    flags: tuple[str, ...]
    job_id: str
    fixed: frozenset[str]
    check: Callable[[Config], Config]
    composed_with: Callable[[Mapping[str, Choice]], Config]


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
