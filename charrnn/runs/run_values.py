"""A run as a value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from charrnn.runs import folder as folders
from charrnn.runs import resume

if TYPE_CHECKING:
    from charrnn.models.trained import TrainedModel


@dataclass(frozen=True)
class Run:
    """A run from its command line to its last step. Rank 0 sends it to the other ranks.

    Attributes:
        config: the composed config, which `charrnn.decide` completes. It keeps the interpolations
            of conf/, so that its record does as well.
        folder: a new folder, or the resumed one.
        words: the command as its user typed it: flags and overrides, without ``hydra.*``.
        given: the dotted options, and the groups, that these overrides set.
        swept: those of them that differ between the jobs of a sweep.
        choices: the choices of each config group.
        hydra: the node `hydra` of the config, for people.
        record: the record of the checkpoint from which the run resumes; None for a new run.
        begins_again: whether the run starts in the folder of one that has no checkpoint.
        initial: the model of `init_from`, if the run starts at step 0.
        hparams: the options that were swept, given or decided, with their values.
    """

    config: DictConfig
    folder: Path
    words: Sequence[str] = ()
    given: Collection[str] = ()
    swept: Sequence[str] = ()
    choices: Mapping[str, list[str]] = field(default_factory=dict)
    hydra: Mapping[str, Any] = field(default_factory=dict)
    record: resume.Record | None = None
    begins_again: bool = False
    initial: TrainedModel | None = None
    hparams: Mapping[str, Any] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint from which the run resumes; None if it starts at step 0."""
        return None if self.record is None else self.record.path

    @property
    def first_step(self) -> int:
        """The step of this checkpoint, or 0."""
        return 0 if self.record is None else self.record.step

    @property
    def is_in_place(self) -> bool:
        """Whether the run continues in the folder of its checkpoint."""
        return self.record is not None and self.record.folder == self.folder.resolve()

    def gives(self, *names: str) -> bool:
        """Return whether the command line sets one of these options, or its group."""
        return any(resume.is_given(name, self.given) for name in names)

    @property
    def provenance(self) -> dict[str, Any]:
        """The record of the run for its checkpoints, beside the decided config."""
        return {"choices": dict(self.choices), "words": list(self.words)}

    def explain_resume(self) -> str:
        """Return how to resume the run if it ended early: a command."""
        folder = self.folder
        if not folders.is_run(folder):
            return "nothing was started" if folder.is_dir() else "the run's folder is gone"
        if not any((folder / "checkpoints").glob("*.ckpt")):
            command = resume.repeat_command(self.words, folder)
            return f"there is no checkpoint yet; to start it again: {command}"
        has_own_parts = resume.has_own_parts(self.words, self.choices)
        command = (
            resume.repeat_command(self.words, folder)
            if has_own_parts
            else resume.format_command(folder)
        )
        return f"the run is saved; to resume it: {command}"
