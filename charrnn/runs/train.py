"""`charrnn train`, from what is asked for to the result of the run."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import IO

from charrnn import files, plugins
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.runs import budget, hardware, plan, world
from charrnn.runs import folder as folders
from charrnn.runs.begin import Beginning, ResumePoint, beginning, resume_point
from charrnn.runs.fit import Task, build, fit
from charrnn.runs.initial import adopt_architecture, read_initial, require_same_tokens
from charrnn.runs.introduction import how_to_resume, say_end, say_finished
from charrnn.runs.merging import asks_for_more, words_again
from charrnn.runs.request import Config, Request, Result
from charrnn.runs.restore import restore_best
from charrnn.runs.speed import decided
from charrnn.runs.teachers import fingerprint
from charrnn.runs.temperature import record_temperature
from charrnn.training import TextDataModule
from charrnn.training.best import Best
from charrnn.training.signals import Signals


def train(request: Request, signals: Signals) -> Result:
    """Train in a run folder, in this process or in several of which it is the first or the parent.

    A run that is finished already says so, and its result is returned.

    Raises:
        InputError: something does not fit; nothing that stood is changed.
        RunError, Interrupted: the line says how to go on.
    """
    here = world.world()
    begins = beginning(request)
    if begins.source is None:
        budget.refuse_two_lengths(begins.config)
    guess = budget.guessed(begins.config)
    world.check(guess, here)
    # what this machine cannot do is refused before a file is touched
    hardware.resolve(guess, here)
    folder = begins.folder
    folders.require_plain_files(folder)
    request = replace(request, overrides=begins.overrides)
    with folders.lock(folder) as held:
        # looked at under the lock: before it, another process may have begun in here
        is_new = all(path.name == ".lock" for path in folder.iterdir())
        files.remove_unfinished(folder)
        start = resume_point(begins)
        if start.entry is not None and _is_finished(start, begins):
            if begins.config["fit_temperature"]:
                record_temperature(folder)
            say_finished(folder, start, _finished_by_extras(folder))
            return _result_of(folder, start)
        again = words_again(begins.config, request)
        try:
            result = _train(request, begins, start, signals, here, held)
        except InputError:
            if is_new and not any(folder.glob("checkpoints/*.ckpt")):
                folders.empty(folder)
            raise
        except Interrupted as stopped:
            raise Interrupted(
                f"{stopped}; {how_to_resume(folder, again)}", stopped.signum
            ) from None
        except RunError as error:
            error.args = (f"{error}; {how_to_resume(folder, again)}",)
            raise
        if begins.config["fit_temperature"]:
            record_temperature(folder)
        say_end(result, _finished_by_extras(folder))
        return result


def _train(
    request: Request,
    begins: Beginning,
    start: ResumePoint,
    signals: Signals,
    here: world.World,
    held: IO[str],
) -> Result:
    config, folder = begins.config, begins.folder
    data = build("data", budget.guessed(config)["data"])
    if config["data"]["input_txt"] is not None and not {"data", "data.input_txt"} & {
        *request.given
    }:
        data.beside_the_text = begins.source is None
    data.prepare_data()
    data.setup()
    config = _with_choices_made(config, request, data, start, here)
    count = hardware.processes(config["trainer"])
    plan.check(config, data, start, count)
    teachers = fingerprint(config, data.vocabulary, start)
    folders.record(folder, config, request)
    best_is_lost = False
    if start.path is not None and start.entry is not None and config["validate_every"] != 0:
        best = Best.from_plain(start.entry["best"])
        best_is_lost = not restore_best(folder, best, start.path)
    h5, json = data.files
    found = (Path(h5).resolve(), Path(json).resolve())
    choices = dict(request.choices)
    task = Task(config, choices, folder, found, start, best_is_lost, teachers)
    if count == 1:
        return fit(task, signals)
    from charrnn.runs import processes

    if not here.launcher:
        return processes.train_together(task, count, held.fileno())
    return processes.lead(task, here, signals)


def _finished_by_extras(folder: Path) -> list[Path]:
    """Let extras do what they do when a run has ended; the files that they made."""
    return [path for call in plugins.calls("run_end") if (path := call(folder)) is not None]


def _is_finished(start: ResumePoint, begins: Beginning) -> bool:
    assert start.entry is not None
    from charrnn.runs.older import upgraded

    more = asks_for_more(upgraded(start.entry["config"], str(start.path)), begins.config)
    return bool(start.entry.get("finished")) and not more


def _result_of(folder: Path, start: ResumePoint) -> Result:
    assert start.entry is not None
    best = Best.from_plain(start.entry["best"])
    return Result(folder, best.loss if best.step else None, best.step or start.step, 0.0)


def _with_choices_made(
    config: Config,
    request: Request,
    data: TextDataModule,
    start: ResumePoint,
    here: world.World,
) -> Config:
    """The config with all decided that the text's length and this machine decide."""
    if config["init_from"] is not None and start.path is None:
        init_from = config["init_from"]
        trained = read_initial(init_from)
        require_same_tokens(init_from, trained, data.vocabulary, data.options.encoding)
        model = adopt_architecture(init_from, trained, config["model"], request.given)
        config = {**config, "model": model}
    seed = secrets.randbelow(2**31) if config["seed"] is None else config["seed"]
    config = decided({**config, "seed": seed}, data, here)
    return {**config, "trainer": hardware.resolve(config, here), "resume": None}
