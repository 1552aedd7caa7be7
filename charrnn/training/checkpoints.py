"""Checkpoints that cannot be torn: how they are written, named and chosen.

checkpoints/last.ckpt       rolling; everything that an exact resume needs
checkpoints/best.ckpt       at the lowest validation loss
checkpoints/step-N.ckpt     every `callbacks.keep_every` steps, kept for good
*.damaged                   set aside: it could not be read at a resume
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from charrnn import modelfile
from charrnn.errors import InputError, RunError
from charrnn.files import replacing
from charrnn.models import checkpoint
from charrnn.models.checkpoint import Damaged

LAST = "last.ckpt"
BEST = "best.ckpt"
MODEL = "model.safetensors"


class WholeCheckpointIO(CheckpointIO):
    """Lightning's file access with writes that are whole or not there, and checked reads.

    Lightning's own write is not atomic across file systems and is never synced.
    """

    def save_checkpoint(
        self, content: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        # a plain dict: what torch adds to its OrderedDict is of no use here
        content = {**content, "state_dict": dict(content["state_dict"])}
        with replacing(Path(path)) as temporary:
            try:
                # into an open file: torch's own gives no reason when a write fails
                with open(temporary, "w+b") as file:
                    torch.save(content, file, pickle_protocol=2)
                    checkpoint.seal(file)
            except RuntimeError as error:
                raise _reason(error) from error
            try:
                checkpoint.check_written(temporary)
            except ValueError as error:
                raise RunError(
                    f"{path}: not written, since it could not be read again ({error})"
                ) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoint.read_run(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _reason(error: RuntimeError) -> Exception:
    """The failed write because of which torch's zip writer raised an error of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause
        cause = cause.__context__
    return error


@dataclass
class Best:
    """The best validation so far; saved with every checkpoint.

    Attributes:
        loss: lowest validation loss, nats per character.
        step: where it was reached.
        waited: validations since one was better by `callbacks.min_delta` (early stopping).
        bar: the loss that one must beat by min_delta to count as better for early stopping.
    """

    loss: float = float("inf")
    step: int = 0
    waited: int = 0
    bar: float = float("inf")

    def update(self, loss: float, step: int, min_delta: float) -> bool:
        """Take in a validation; whether it is the best so far."""
        if loss < self.bar - min_delta:
            self.bar, self.waited = loss, 0
        else:
            self.waited += 1
        if loss < self.loss:
            self.loss, self.step = loss, step
            return True
        return False

    def forget(self) -> None:
        """Let the next validation be the best, whatever it is; early stopping counts on."""
        self.loss, self.step = float("inf"), 0


@dataclass
class Usable:
    """The checkpoint that a run folder goes on from.

    Attributes:
        path: None when there is none, and the run starts at its beginning.
        notes: lines about damaged ones that were set aside.
    """

    path: Path | None
    content: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)


def newest_usable(folder: Path) -> Usable:
    """The newest whole checkpoint of a run folder; damaged ones are renamed, never deleted.

    Raises:
        InputError: one is whole but cannot be read here (no permission, another version).
    """
    checkpoints = folder / "checkpoints"
    kept = sorted(checkpoints.glob("step-*.ckpt"), key=_step_in_name, reverse=True)
    notes: list[str] = []
    found: list[tuple[int, Path, dict[str, Any]]] = []
    for path in (checkpoints / LAST, checkpoints / BEST, *kept):
        content = _whole(path, notes)
        if content is None:
            continue
        if path.name == LAST:
            return Usable(path, content, notes)
        found.append((content["global_step"], path, content))
        if path.name != BEST:
            break
    if not found:
        return Usable(None, None, notes)
    _, path, content = max(found, key=lambda item: item[0])
    return Usable(path, content, notes)


def restore_best(folder: Path, best: Best, start: Path) -> list[str]:
    """Make sure that a run which goes on has the files of its best model so far.

    They are missing in the new folder of a ``resume=X.ckpt``, and when they were damaged or
    deleted. Where they cannot be had, `best` is forgotten: the next validation makes new ones.

    Args:
        best: as the checkpoint `start` has it; step 0 for none so far.

    Returns:
        Lines about what was found damaged or lost.
    """
    notes: list[str] = []
    if not best.step:
        return notes
    path = folder / "checkpoints" / BEST
    # a kill may have left the best of a later step, which this run will come to again
    content = _whole(path, notes)
    trained = checkpoint.read_model(path) if content is not None else None
    for source in (start, start.parent / BEST):
        if trained is not None:
            break
        with contextlib.suppress(InputError):
            content = checkpoint.read(source)
            if content["global_step"] == best.step:
                trained = checkpoint.model_in(content)
                with replacing(path) as temporary:
                    shutil.copyfile(source, temporary)
    if trained is None:
        notes.append(f"the best model so far, of step {best.step}, is lost: the next one counts")
        best.forget()
        return notes
    model = folder / MODEL
    try:
        modelfile.load(model)
    except InputError as error:
        if model.exists():
            notes.append(_set_aside(model, error))
        modelfile.save(model, trained)
    return notes


def _whole(path: Path, notes: list[str]) -> dict[str, Any] | None:
    """What a checkpoint holds; None where there is none, or it is damaged and set aside."""
    if not path.exists():
        return None
    try:
        return checkpoint.read_run(path)
    except Damaged as error:
        notes.append(_set_aside(path, error))
        return None


def _step_in_name(path: Path) -> int:
    number = path.stem.removeprefix("step-")
    return int(number) if number.isdecimal() else -1


def _set_aside(path: Path, why: InputError) -> str:
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.damaged{'' if number == 1 else f'-{number}'}")
        if not aside.exists():
            break
    try:
        os.rename(path, aside)
    except OSError as error:
        raise RunError(f"{path}: damaged, and cannot be set aside ({error.strerror})") from error
    return f"{why}; it is set aside as {aside.name}"
