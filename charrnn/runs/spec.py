"""A run that is to be done, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.options.training import TrainOptions


@dataclass(frozen=True)
class RunSpec:
    """One run, from its beginning to the end; it can be sent to another process.

    Attributes:
        config: complete and checked; in the end with every choice made.
        source: what it goes on from: the folder itself, a .ckpt, or None for a new run.
        given: the options that the command line sets, dotted; a choice of a group counts as the
            group's name.
        overrides, hydra: as `.hydra/` records them.
        resume_options: what a resume needs besides: " trust=true", or nothing.
        checkpoint: that it goes on from; None where it starts from its beginning.
        entry: what charrnn wrote into that checkpoint, and `step`, its number of steps.
        files: the HDF5 and JSON of the data, absolute, once they are known.
        best_is_lost: the files of the best model so far are gone, so that the next one counts.
    """

    config: TrainOptions
    folder: Path
    source: Path | None = None
    given: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    hydra: Mapping[str, Any] = field(default_factory=dict)
    resume_options: str = ""
    checkpoint: Path | None = None
    entry: dict[str, Any] | None = None
    step: int = 0
    files: tuple[Path, Path] | None = None
    best_is_lost: bool = False

    def going_on_from(self, path: Path) -> RunSpec:
        """The run from a checkpoint on; raises InputError where a run cannot go on from it."""
        content = checkpoint.read_run(path)
        entry, step = content[ENTRY], int(content["global_step"])
        return replace(self, checkpoint=path, entry=entry, step=step)


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        best_loss: which a sweep minimises: the lowest validation loss, nats per character; or None.
        step: where that was, or the last step.
    """

    folder: Path
    best_loss: float | None
    step: int
    seconds: float
