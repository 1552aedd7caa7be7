"""The checkpoint that a run goes on from, and the files of its best model.

A damaged file is named and set aside as *.damaged, never deleted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, RunError
from charrnn.files import replacing
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import Damaged
from charrnn.runs.recorded_config import Config, found
from charrnn.runs.spec import RunSpec
from charrnn.say import say
from charrnn.training.checkpoints import BEST, LAST, MODEL
from charrnn.training.divergence import Best

Reader = Callable[[Path], dict[str, Any]]


def from_checkpoint(run: RunSpec) -> RunSpec:
    """The run from its checkpoint on; of a run folder, which is locked by now, the newest.

    Raises:
        InputError: the checkpoint cannot be read, or a run cannot go on from it.
    """
    if run.source is None:
        return run
    if run.source != run.folder:
        return run.going_on_from(run.source)
    path, content = newest_usable(run.folder)
    if path is None:
        say(f"{run.folder}: has no checkpoint yet; the run starts from its beginning")
        return run
    return run.going_on_from(path, content)


def is_finished(run: RunSpec) -> bool:
    """Whether it has ended, and is not to be longer now than it was."""
    if run.entry is None or not run.entry["finished"]:
        return False
    before = run.entry["config"]
    now = run.config.plain()
    lengths = ("trainer.max_epochs", "trainer.max_steps")
    same = all(found(before, name) == found(now, name) for name in lengths)
    return same and _stopping(before) == _stopping(now)


def _stopping(config: Config) -> dict[str, Config]:
    """The callbacks that may end a run before its length, whatever their names are."""
    classes = ("charrnn.training.EarlyStopping", "charrnn.training.OverfittingStop")
    return {
        name: node
        for name, node in config["callbacks"].items()
        if isinstance(node, dict) and ("patience" in node or node.get("_target_") in classes)
    }


def with_best_model(run: RunSpec) -> RunSpec:
    """The run, once the files of its best model so far stand in its folder, or count as lost."""
    if run.checkpoint is None or run.entry is None or run.config.validate_every == 0:
        return run
    best = Best.from_plain(run.entry["best"])
    return replace(run, best_is_lost=not restore_best(run.folder, best, run.checkpoint))


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
    content = _whole(path, checkpoint.read)
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


def _whole(path: Path, read: Reader = checkpoint.read_run) -> dict[str, Any] | None:
    """What a checkpoint holds; None where there is none, or it is damaged and set aside."""
    if not path.exists():
        return None
    try:
        return read(path)
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
