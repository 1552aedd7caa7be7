"""The checkpoint that a run folder goes on from, and the files of its best model.

A damaged file is named and set aside as *.damaged, never deleted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, RunError
from charrnn.files import replacing
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import Damaged
from charrnn.say import say
from charrnn.training.best import Best
from charrnn.training.checkpoints import BEST, LAST, MODEL


def newest_usable(folder: Path) -> tuple[Path | None, dict[str, Any] | None]:
    """The newest whole checkpoint of a run folder and its content; None if it has none.

    Raises:
        InputError: one is whole but cannot be read here (no permission, another version).
    """
    checkpoints = folder / "checkpoints"
    kept = sorted(checkpoints.glob("step-*.ckpt"), key=_step_in_name, reverse=True)
    found: list[tuple[int, Path, dict[str, Any]]] = []
    for path in (checkpoints / LAST, checkpoints / BEST, *kept):
        content = _whole(path)
        if content is None:
            continue
        if path.name == LAST:
            return path, content
        found.append((content["global_step"], path, content))
        if path.name != BEST:
            break
    if not found:
        return None, None
    _, path, content = max(found, key=lambda item: item[0])
    return path, content


def restore_best(folder: Path, best: Best, start: Path) -> bool:
    """Make sure that a run which goes on has the files of its best model so far.

    They are missing in the new folder of a ``resume=X.ckpt``, and when they were damaged or
    deleted.

    Args:
        best: as the checkpoint `start` has it; step 0 for none so far.

    Returns:
        False where they cannot be had: then the next validation counts as the best.
    """
    if not best.step:
        return True
    path = folder / "checkpoints" / BEST
    # a kill may have left the best of a later step, which this run will come to again
    content = _whole(path)
    trained = checkpoint.model_in(content) if content is not None else None
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
        say(f"the best model so far, of step {best.step}, is lost: the next one counts")
        return False
    model = folder / MODEL
    try:
        model_file.load(model)
    except InputError as error:
        if model.exists():
            _set_aside(model, error)
        model_file.save(model, trained)
    return True


def _whole(path: Path) -> dict[str, Any] | None:
    """What a checkpoint holds; None where there is none, or it is damaged and set aside."""
    if not path.exists():
        return None
    try:
        return checkpoint.read_run(path)
    except Damaged as error:
        _set_aside(path, error)
        return None


def _step_in_name(path: Path) -> int:
    number = path.stem.removeprefix("step-")
    return int(number[:18]) if number.isdecimal() else -1


def _set_aside(path: Path, why: InputError) -> None:
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.damaged{'' if number == 1 else f'-{number}'}")
        if not aside.exists():
            break
    try:
        os.rename(path, aside)
    except OSError as error:
        raise RunError(f"{path}: damaged, and cannot be set aside ({error.strerror})") from error
    say(f"{why}; it is set aside as {aside.name}")
