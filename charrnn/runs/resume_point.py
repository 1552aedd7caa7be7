"""Find the checkpoint from which a run resumes, and check that options and data fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.data import EncodedText, Streams
from charrnn.errors import InputError, shorten
from charrnn.models import checkpoint
from charrnn.options.training import DecidedOptions, TrainOptions
from charrnn.runs.folder import find_checkpoint, select
from charrnn.runs.plan import RunRequest
from charrnn.say import say
from charrnn.text.background import Background


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint from which a run resumes, its trained steps, and charrnn's entry in it."""

    path: Path
    step: int
    entry: Mapping[str, Any]

    def is_end_of(self, options: TrainOptions) -> bool:
        """Return whether the run is finished, and the options set the same length as before."""
        config, trainer = self.entry["config"], options.trainer
        length = select(config, "trainer.max_epochs"), select(config, "trainer.max_steps")
        is_same = length == (trainer.max_epochs, trainer.max_steps)
        is_same &= _find_early_stops(config["callbacks"]) == _find_early_stops(options.callbacks)
        return self.entry["finished"] and is_same


def find_resume_point(source: Path | None, folder: Path) -> ResumePoint | None:
    """Return the checkpoint from which a run in a locked folder resumes; None: start at step 0."""
    if source is None:
        return None
    path = find_checkpoint(folder) if source == folder else source
    if path is None:
        say(f"{folder}: has no checkpoint yet; the run starts from its beginning")
        return None
    content = checkpoint.read_run(path)
    return ResumePoint(path, int(content["global_step"]), content[checkpoint.ENTRY])


def _find_early_stops(callbacks: Mapping[str, Any]) -> list[Any]:
    """Return the configs of the callbacks that may end a run early."""
    return [node for node in callbacks.values() if isinstance(node, dict) and "patience" in node]


def check_background(
    request: RunRequest, point: ResumePoint | None, background: Background
) -> None:
    """Raise InputError if the background cannot be read, has changed, or is not trusted.

    An untrusted config could name a private text of the user, which would be counted into the
    model. A checkpoint is trusted, because its author has had the texts: it has their fingerprint.
    """
    names, is_given = request.options.data.background, request.gives("data.background")
    is_from_config = request.source is not None and point is None and not is_given
    if names and is_from_config and not request.options.trust:
        raise InputError(
            f"data.background={shorten(names)}: only the record of {request.source} names it; give "
            f"it again, or trust=true"
        )
    fingerprint = background.fingerprint  # this reads the texts
    if point is not None and point.entry.get("background") != fingerprint:
        raise InputError(
            f"data.background={shorten(names)}: is not what {point.path} counted; restore it to "
            f"resume"
        )


def check_resume(
    point: ResumePoint, options: DecidedOptions, text: EncodedText, streams: Streams
) -> None:
    """Raise InputError if a checkpoint does not fit the options, text and streams."""
    path, entry, max_steps = point.path, point.entry, options.trainer.max_steps
    if max_steps is not None and point.step > max_steps:
        raise InputError(f"trainer.max_steps={max_steps}: {path} is at step {point.step} already")
    if entry["fingerprint"] != text.fingerprint:
        name = shorten(options.data.input_txt or text.path)
        raise InputError(
            f"{name}: the data is not what {path} was trained on; restore it to resume, or start a "
            f"new run from its weights with init_from={path}"
        )
    batch_size, seq_length = entry["batch_size"], entry["seq_length"]
    if (batch_size, seq_length) != (streams.batch_size, streams.seq_length):
        raise InputError(
            f"{path}: was trained with data.batch_size={batch_size} data.seq_length={seq_length}, "
            f"which a resume cannot change"
        )
    ranks, dropout = len(entry["ranks"]), options.model.dropout
    if ranks != options.trainer.num_processes and dropout:
        raise InputError(
            f"trainer.devices: {path} was trained with {ranks} process(es), each with other random "
            f"numbers for model.dropout={dropout:g}, and cannot resume with "
            f"{options.trainer.num_processes}; set trainer.devices so that {ranks} process(es) run"
        )
