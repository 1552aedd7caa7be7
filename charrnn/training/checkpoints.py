"""Checkpoints that cannot be torn: how they are written, named and chosen.

checkpoints/last.ckpt       rolling; everything that an exact resume needs
checkpoints/best.ckpt       at the lowest validation loss
checkpoints/step-N.ckpt     every `callbacks.keep_every` steps, kept for good
*.damaged                   set aside: it could not be read at a resume
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from charrnn import checkpoint
from charrnn.errors import InputError, RunError
from charrnn.files import replacing

LAST = "last.ckpt"
BEST = "best.ckpt"


class WholeCheckpointIO(CheckpointIO):
    """Lightning's file access with writes that are whole or not there, and checked reads.

    Lightning's own write is not atomic across file systems and is never synced.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        with replacing(Path(path)) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:
                # torch's zip writer reports a full disk as a RuntimeError of its own
                raise RunError(f"{path}: cannot be written ({_first_line(error)})") from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoint.read(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0][:200]


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
    """The newest whole checkpoint of a run folder; damaged ones are renamed, never deleted."""
    checkpoints = folder / "checkpoints"
    kept = sorted(checkpoints.glob("step-*.ckpt"), key=_step_in_name, reverse=True)
    notes: list[str] = []
    found: list[tuple[int, Path, dict[str, Any]]] = []
    for path in (checkpoints / LAST, checkpoints / BEST, *kept):
        if not path.exists():
            continue
        try:
            content = checkpoint.read(path)
        except InputError as error:
            aside = _set_aside(path)
            notes.append(f"{error}; it is set aside as {aside.name}")
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


def _step_in_name(path: Path) -> int:
    number = path.stem.removeprefix("step-")
    return int(number) if number.isdecimal() else -1


def _set_aside(path: Path) -> Path:
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.damaged{'' if number == 1 else f'-{number}'}")
        if not aside.exists():
            break
    try:
        os.rename(path, aside)
    except OSError as error:
        raise RunError(f"{path}: damaged, and cannot be set aside ({error.strerror})") from error
    return aside
