"""`charrnn train`, from the run that is to be done to its result: one page, from top to bottom."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from charrnn import files, plugins
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.runs import folder as folders
from charrnn.runs import hardware, newest_checkpoint, preflight, world
from charrnn.runs.announcements import how_to_resume, say_end, say_finished
from charrnn.runs.fit import Inputs, fit
from charrnn.runs.other_models import adopt_architecture
from charrnn.runs.spec import Result, RunSpec
from charrnn.runs.speed import decided
from charrnn.training.divergence import Best
from charrnn.training.signals import Signals


def train(run: RunSpec, signals: Signals) -> Result:
    """Train in a run folder, in this process or in several of which it is the first or the parent.

    A run that is finished already says so, and its result is returned.

    Raises:
        InputError: something does not fit; nothing that stood is changed.
        RunError, Interrupted: the line says how to go on.
    """
    here = world.world()
    preflight.check_options(run, here)
    folders.require_plain_files(run.folder)
    with folders.lock(run.folder) as held:
        # looked at under the lock: before it, another process may have begun in here
        is_new = all(path.name == ".lock" for path in run.folder.iterdir())
        files.remove_unfinished(run.folder)
        run = newest_checkpoint.from_checkpoint(run)
        if newest_checkpoint.is_finished(run):
            return _finished(run)
        with _saying_how_to_resume(run, is_new):
            run, inputs = prepared(run, here)
            folders.record(run)
            run = newest_checkpoint.with_best_model(run)
            processes = hardware.processes(run.config.trainer)
            if processes == 1:
                result = fit(run, signals, inputs=inputs)
            elif here.launcher:
                from charrnn.runs.processes import lead

                result = lead(run, here, signals, inputs)
            else:
                from charrnn.runs.processes import train_together

                result = train_together(run, processes, held.fileno())
        say_end(result, _end(run))
        return result


def prepared(run: RunSpec, here: world.World = world.SINGLE_PROCESS) -> tuple[RunSpec, Inputs]:
    """Read what a run reads, make every choice that is left open, and check what comes of it.

    Raises:
        InputError: something does not fit.
    """
    inputs = Inputs.read(run)
    run = _with_choices_made(run, inputs, here)
    preflight.check_data(run, inputs.data, hardware.processes(run.config.trainer))
    return run, inputs


@contextlib.contextmanager
def _saying_how_to_resume(run: RunSpec, is_new: bool) -> Iterator[None]:
    """Add to what ends a run how to go on with it; one that was refused leaves nothing behind."""
    try:
        yield
    except InputError:
        if is_new and not any(run.folder.glob("checkpoints/*.ckpt")):
            folders.empty(run.folder)
        raise
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}; {how_to_resume(run)}", stopped.signum) from None
    except RunError as error:
        error.args = (f"{error}; {how_to_resume(run)}",)
        raise


def _with_choices_made(run: RunSpec, inputs: Inputs, here: world.World) -> RunSpec:
    """The run with all decided that the text's length and this machine decide."""
    config, data, initial = run.config, inputs.data, inputs.initial
    if initial is not None:
        config = replace(config, model=adopt_architecture(config, initial, run.given))
    config = replace(config, seed=data.seed)
    config = decided(config, data, here)
    config = replace(config, trainer=hardware.resolve(config, here), resume=None)
    assert data.files is not None
    return replace(run, config=config, files=data.files)


def _end(run: RunSpec) -> list[Path]:
    """What comes when a run has ended; the files that extras made of it."""
    made = [call(run.folder) for call in plugins.calls("run_end")]
    return [path for path in made if path is not None]


def _finished(run: RunSpec) -> Result:
    """The result of a run that has nothing left to do."""
    say_finished(run, _end(run))
    assert run.entry is not None
    best = Best.from_plain(run.entry["best"])
    return Result(run.folder, best.loss if best.step else None, best.step or run.step, 0.0)
