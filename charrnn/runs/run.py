"""A run, and its result."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from charrnn.files import relative_path
from charrnn.runs.folder import RECORDED

if TYPE_CHECKING:
    from charrnn.models.trained import TrainedModel


@dataclass(frozen=True)
class Run:
    """A run from its command line to its last step. Rank 0 sends it to the other ranks.

    Attributes:
        config: the composed config, which `charrnn.decide` completes. It keeps the interpolations
            of conf/, so that its record does as well.
        folder: a new folder, or the resumed one.
        given: the dotted options, and the groups, that the command line sets.
        swept: those of them that differ between the jobs of a sweep.
        overrides, hydra: the contents of these files in `.hydra/`.
        source: the folder or the .ckpt that the run resumes; None for a new run.
        checkpoint: the checkpoint from which it resumes; None if it starts at step 0.
        first_step: the step of this checkpoint.
        entry: charrnn's entry in this checkpoint.
        initial: the model of `init_from`, if the run starts at step 0.
        hparams: the options that were swept, given or decided, with their values.
    """

    config: DictConfig
    folder: Path
    given: Sequence[str] = ()
    swept: Sequence[str] = ()
    overrides: Sequence[str] = ()
    hydra: Mapping[str, Any] = field(default_factory=dict)
    source: Path | None = None
    checkpoint: Path | None = None
    first_step: int = 0
    entry: Mapping[str, Any] = field(default_factory=dict)
    initial: TrainedModel | None = None
    hparams: Mapping[str, Any] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """The config as plain values, which keep its interpolations."""
        values: Any = OmegaConf.to_container(self.config)
        return values

    @property
    def provenance(self) -> dict[str, Any]:
        """What a resume needs beside the config: the choices of the groups, and the overrides."""
        choices = self.entry.get("choices", {}) | dict(
            self.hydra.get("runtime", {}).get("choices", {})
        )
        return {"choices": choices, "overrides": list(self.overrides)}

    @property
    def is_in_place(self) -> bool:
        """Whether the run continues in the folder that it resumes."""
        return self.source == self.folder

    def explain_resume(self) -> str:
        """Return how to resume the run if it ended early: a command."""
        folder = self.folder
        if not (folder / RECORDED).is_file():
            return "nothing was started" if folder.is_dir() else "the run's folder is gone"
        from charrnn.runs.resume import list_own_words

        words = [f"resume={relative_path(folder)}", *list_own_words(self.overrides)]
        command = f"charrnn train {shlex.join(words)}"
        if any((folder / "checkpoints").glob("*.ckpt")):
            return f"the run is saved; to resume it: {command}"
        return f"there is no checkpoint yet; to start it again: {command}"

    def gives(self, *names: str) -> bool:
        """Return whether the command line sets one of these options, or its group."""
        return any(n in self.given or n.partition(".")[0] in self.given for n in names)


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        loss: the validation loss of the best model as it writes, in nats per character; None
            without validation.
        network_loss: its network's loss on the whole validation split, the lowest of the run.
        step: the step of the best model, or else the last step.
        objective: the value of `optimized_metric`, which a sweep minimizes; None without
            validation.
    """

    folder: Path
    loss: float | None
    network_loss: float | None
    step: int
    seconds: float
    objective: float | None = None
