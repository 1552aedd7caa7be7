"""A run as the command line asks for it, as it is planned, and as it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charrnn.models.trained import TrainedModel
from charrnn.options.training import DecidedOptions, TrainOptions


@dataclass(frozen=True)
class RunRequest:
    """A run that the command line asks for; some options may be open.

    Attributes:
        options: complete and checked, of a resume filled from its record.
        folder: that Hydra made, or that is resumed.
        source: what the run resumes: the folder itself, a .ckpt, or None for a new run.
        given: the options that the command line sets, dotted; a choice of a group counts as the
            group's name.
        overrides, hydra: as `.hydra/` records them.
        initial: the model of `init_from`, unless the run resumes from a checkpoint.
        resume_words: what the command of a resume needs besides: " trust=true", or nothing.
    """

    options: TrainOptions
    folder: Path
    source: Path | None = None
    given: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    hydra: Mapping[str, Any] = field(default_factory=dict)
    initial: TrainedModel | None = None
    resume_words: str = ""

    def gives(self, *names: str) -> bool:
        """Return whether the command line sets one of these options or groups."""
        return any(name in self.given for name in names)

    @property
    def gives_data(self) -> bool:
        """Whether the command line sets any option of the data."""
        return any(name.partition(".")[0] == "data" for name in self.given)


@dataclass(frozen=True)
class RunPlan:
    """A run whose options are decided. Rank 0 sends it to the other ranks.

    Attributes:
        files: the HDF5 and JSON of the text, absolute.
        earlier_facts: of the model of `init_from`, such as its text; empty without one.
        checkpoint: from which it resumes; None for a run that starts from its beginning.
        first_step: the number of steps that are trained already.
        initial: the model of `init_from`, for a run that starts from its beginning.
    """

    options: DecidedOptions
    folder: Path
    files: tuple[Path, Path]
    earlier_facts: Mapping[str, Any]
    checkpoint: Path | None = None
    first_step: int = 0
    initial: TrainedModel | None = None


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
