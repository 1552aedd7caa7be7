"""The checkpoint that a run goes on from, and the files of its best model.

A damaged file is named and set aside as *.damaged, in place of one that was there.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from charrnn.errors import InputError
from charrnn.files import writing
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import Damaged
from charrnn.runs.recorded_config import Config, found
from charrnn.runs.spec import RunSpec
from charrnn.say import say
from charrnn.training.checkpoints import BEST, LAST, MODEL


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
    return _length(run.entry["config"]) == _length(run.config.plain())


def _length(config: Config) -> list[Any]:
    """What decides how long a run is: its length, and callbacks that may end it before."""
    nodes = config["callbacks"].values()
    stopping = [node for node in nodes if isinstance(node, dict) and "patience" in node]
    return [found(config, "trainer.max_epochs"), found(config, "trainer.max_steps"), *stopping]


def with_best_model(run: RunSpec) -> RunSpec:
    """The run, once its folder has the best model so far, or that counts as lost.

    A new folder takes it from the checkpoint that it goes on from, or from beside that.
    """
    if run.checkpoint is None or run.entry is None or run.config.validate_every == 0:
        return run
    best_step, model = run.entry["best_step"], run.folder / MODEL
    if not best_step or model.exists():
        return run
    for source in (run.checkpoint, run.checkpoint.parent / BEST):
        with contextlib.suppress(InputError):
            content = checkpoint.read(source)
            if content["global_step"] == best_step:
                checkpoint.write(run.folder / "checkpoints" / BEST, content)
                model_file.save(model, checkpoint.model_in(content))
                return run
    say(f"the best model so far, of step {best_step}, is lost: the next one counts")
    return replace(run, best_is_lost=True)


def newest_usable(folder: Path) -> tuple[Path | None, dict[str, Any] | None]:
    """The newest intact checkpoint of a run folder and its content; None if it has none.

    Raises:
        InputError: one is intact but cannot be read here (no permission, another version).
    """
    checkpoints = folder / "checkpoints"
    if (last := _read_or_set_aside(checkpoints / LAST)) is not None:
        return checkpoints / LAST, last
    others = [checkpoints / BEST, *checkpoints.glob("step-*.ckpt")]
    contents = ((path, _read_or_set_aside(path)) for path in others)
    intact = ((path, content) for path, content in contents if content is not None)
    return max(intact, key=lambda other: other[1]["global_step"], default=(None, None))


def _read_or_set_aside(path: Path) -> dict[str, Any] | None:
    """What a checkpoint holds; None where there is none, or it is damaged and set aside."""
    try:
        return checkpoint.read_run(path) if path.exists() else None
    except Damaged as error:
        backup = path.with_name(f"{path.name}.damaged")
        with writing(backup):
            os.replace(path, backup)
        say(f"{error}; it is set aside as {backup.name}")
        return None
