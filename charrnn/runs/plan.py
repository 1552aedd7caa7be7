"""Describe a run as requested by the command line, as planned, and as finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.models.trained import TrainedModel
from charrnn.options.training import DecidedOptions, TrainOptions


@dataclass(frozen=True)
class RunRequest:
    """A run that the command line requests. Some options are not decided yet.

    Attributes:
        options: checked options; a resume has those of its config.
        folder: a new folder from Hydra, or the resumed one.
        source: the folder or the .ckpt that the run resumes; None for a new run.
        given: the dotted options, and the groups, that the command line sets.
        overrides, hydra: the contents of these files in `.hydra/`.
        initial: the model of `init_from`, unless the run resumes from a checkpoint.
        resume_words: the end of the command that resumes the run: " trust=true", or nothing.
    """

    options: TrainOptions
    folder: Path
    source: Path | None
    given: tuple[str, ...]
    overrides: tuple[str, ...]
    hydra: Mapping[str, Any]
    initial: TrainedModel | None
    resume_words: str

    def gives(self, name: str) -> bool:
        """Return whether the command line sets an option, or its group."""
        return name in self.given or name.partition(".")[0] in self.given


@dataclass(frozen=True)
class RunPlan:
    """A run whose options are decided. Rank 0 sends it to the other ranks.

    Attributes:
        files: the absolute paths of the text's HDF5 and JSON files.
        earlier_facts: facts of the model of `init_from`, such as its text; may be empty.
        checkpoint: the checkpoint from which the run resumes; None if it starts at step 0.
        first_step: the number of steps that are already trained.
        initial: the model of `init_from`, if the run starts at step 0.
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
    """The result of a run.

    Attributes:
        loss: the validation loss of the best model as it writes, in nats per character; None
            without validation.
        network_loss: its network's loss on the whole validation split, the lowest of the run.
        step: the step of the best model, or else the last step.
    """

    folder: Path
    loss: float | None
    network_loss: float | None
    step: int
    seconds: float
