"""The checkpoint that a run goes on from, and the files of its best model."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from charrnn.errors import InputError
from charrnn.models import checkpoint, model_file
from charrnn.runs.recorded_config import Config, select
from charrnn.runs.spec import RunSpec
from charrnn.say import say
from charrnn.training.checkpoints import BEST, LAST, MODEL


def from_checkpoint(run: RunSpec) -> RunSpec:
    """The run from its checkpoint on; of a folder, which is locked by now, last.ckpt or best.ckpt.

    Raises:
        InputError: the checkpoint cannot be read, or a run cannot go on from it.
    """
    if run.source is None:
        return run
    if run.source != run.folder:
        return run.going_on_from(run.source)
    for name in (LAST, BEST):
        if (path := run.folder / "checkpoints" / name).exists():
            return run.going_on_from(path)
    say(f"{run.folder}: has no checkpoint yet; the run starts from its beginning")
    return run


def is_finished(run: RunSpec) -> bool:
    """Whether it has ended, and is not to be longer now than it was."""
    if run.entry is None or not run.entry["finished"]:
        return False
    return _length(run.entry["config"]) == _length(run.config.plain())


def _length(config: Config) -> list[Any]:
    """What decides how long a run is: its length, and callbacks that may end it before."""
    nodes = config["callbacks"].values()
    stopping = [node for node in nodes if isinstance(node, dict) and "patience" in node]
    return [select(config, "trainer.max_epochs"), select(config, "trainer.max_steps"), *stopping]


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
    say(f"the best model so far, of step {best_step:,}, is lost: the next one counts")
    return replace(run, best_is_lost=True)
