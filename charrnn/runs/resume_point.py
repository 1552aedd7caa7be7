"""The checkpoint from which a run resumes, and which options and data fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.data import EncodedText, Streams
from charrnn.errors import InputError, shorten
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.options.training import DecidedOptions, TrainOptions
from charrnn.runs.folder import find_checkpoint, select
from charrnn.runs.plan import RunRequest
from charrnn.say import say
from charrnn.text.background import Background


@dataclass(frozen=True)
class ResumePoint:
    """The checkpoint from which a run resumes.

    Attributes:
        step: the number of steps that are trained already.
        entry: what charrnn wrote into the checkpoint.
    """

    path: Path
    step: int
    entry: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> ResumePoint:
        """Read a checkpoint; raises InputError if a run cannot resume from it."""
        content = checkpoint.read_run(path)
        return cls(path, int(content["global_step"]), content[ENTRY])

    def is_end_of(self, options: TrainOptions) -> bool:
        """Return whether the run has ended here, and is not to be longer now than it was."""
        config, trainer = self.entry["config"], options.trainer
        before = select(config, "trainer.max_epochs"), select(config, "trainer.max_steps")
        has_same_length = before == (trainer.max_epochs, trainer.max_steps)
        has_same_length &= _early_ends(config["callbacks"]) == _early_ends(options.callbacks)
        return self.entry["finished"] and has_same_length

    @property
    def best(self) -> tuple[float | None, int]:
        """The lowest validation loss and its step; without one, None and the last step."""
        loss, step = self.entry["best_loss"], self.entry["best_step"]
        return (loss, step) if step else (None, self.step)


def find_resume_point(source: Path | None, folder: Path) -> ResumePoint | None:
    """Return the checkpoint from which a run resumes; None if it starts from its beginning.

    Args:
        source: as in `RunRequest`.
        folder: of the run, which is locked by now.

    Raises:
        InputError: the checkpoint cannot be read, or a run cannot resume from it.
    """
    if source is None:
        return None
    if source != folder:
        return ResumePoint.read(source)
    if (path := find_checkpoint(folder)) is not None:
        return ResumePoint.read(path)
    say(f"{folder}: has no checkpoint yet; the run starts from its beginning")
    return None


def _early_ends(callbacks: Mapping[str, Any]) -> list[Any]:
    """Return the nodes of callbacks that may end a run early."""
    return [node for node in callbacks.values() if isinstance(node, dict) and "patience" in node]


def check_background(
    request: RunRequest, point: ResumePoint | None, background: Background
) -> None:
    """Refuse other texts that cannot be read, or that only a record names.

    Another person may have made the record, to have a text of yours counted into a model. A
    checkpoint holds the fingerprint of its texts, and who knows a text's fingerprint has the text.

    Raises:
        InputError: names the file or the option.
    """
    names, is_given = request.options.data.background, request.gives("data.background")
    is_from_record = request.source is not None and point is None and not is_given
    if names and is_from_record and not request.options.trust:
        raise InputError(
            f"data.background={shorten(names)}: only the record of {request.source} names it; give "
            f"it again, or trust=true"
        )
    fingerprint = background.fingerprint  # which reads the texts
    if point is not None and point.entry.get("background") != fingerprint:
        raise InputError(
            f"data.background={shorten(names)}: is not what {point.path} counted; bring it back to "
            f"resume"
        )


def check_resume(
    point: ResumePoint, options: DecidedOptions, text: EncodedText, streams: Streams
) -> None:
    """Raise InputError if a run of these options on this text cannot resume from a checkpoint.

    Args:
        streams: of the text, in all processes together.
    """
    path, entry, max_steps = point.path, point.entry, options.trainer.max_steps
    if max_steps is not None and point.step > max_steps:
        raise InputError(f"trainer.max_steps={max_steps}: {path} is at step {point.step} already")
    if entry["fingerprint"] != text.fingerprint:
        raise InputError(
            f"{text.path}: the data is not what {path} was trained on; bring it "
            f"back to resume, or start anew from its weights with init_from={path}"
        )
    before = entry["batch_size"], entry["seq_length"]
    if before != (streams.batch_size, streams.seq_length):
        raise InputError(
            f"{path}: was trained with data.batch_size={before[0]} "
            f"data.seq_length={before[1]}, which a resume cannot change"
        )
    ranks, dropout = len(entry["ranks"]), options.model.dropout
    if ranks != options.trainer.num_processes and dropout:
        raise InputError(
            f"trainer.devices: {path} was trained by {ranks} process(es), each with "
            f"random numbers of its own for model.dropout={dropout:g}, and cannot go on in "
            f"{options.trainer.num_processes}; start {ranks}"
        )
