"""Train a run: claim its folder, decide its options, record them, build its parts, and fit."""

from __future__ import annotations

import time
from dataclasses import replace

import lightning as L

from charrnn.data import find_training_data
from charrnn.files import require_replaceable
from charrnn.processors import keep_freed_memory
from charrnn.runs import announcements, building, decisions, hardware
from charrnn.runs import folder as folders
from charrnn.runs import resume as resuming
from charrnn.runs.ranks import World, detect_world, share
from charrnn.runs.recording import MetricCheck, collect_hparams
from charrnn.runs.run import Result, Run
from charrnn.runs.summary import METRICS
from charrnn.runs.surroundings import explain_errors, silence_libraries
from charrnn.training import LanguageModel, ReproducibleSteps, TextDataModule, TrainingLog


def train(run: Run) -> Result:
    """Train a run as rank 0, and return its result. A finished run is not trained again.

    InputError means that no existing file is changed; other errors say how to resume.
    """
    world, start = detect_world(), time.perf_counter()
    with folders.claim(run.folder, run.is_in_place), announcements.explain_resume(run):
        resuming.check_resume(run, None)
        is_finished = resuming.is_finished(run)
        # Also a finished run does not accept another text.
        if not is_finished or run.gives("data.input_txt", "data.input_h5"):
            run, data = decide_run(run, world)
        if is_finished:
            share(None)  # The other ranks have nothing to train.
            return share(announcements.say_finished(run))
        for name in (folders.RESULT, METRICS, *folders.MODEL_FILES):  # which are written later
            require_replaceable(run.folder / name)
        folders.record(run.folder, run.record, run.overrides, run.hydra)
        folders.link_latest(run.folder)
        trainer, module = fit(share(run), world, data)
        result = announcements.make_result(run, trainer, module, time.perf_counter() - start)
        folders.write_result(run.folder, run.config.optimized_metric, result.objective)
        announcements.say_result(result)
        announcements.suggest_other_text(run, data.encoded)
        return share(result)


def follow(world: World) -> Result:
    """Train as another rank, with the run of rank 0, and return the result of rank 0."""
    if (run := share()) is not None:
        with announcements.explain_resume(run):
            fit(run, world)
    result: Result = share()
    return result


def decide_run(run: Run, world: World) -> tuple[Run, TextDataModule]:
    """Return the run with a decided config, and its data. Check that both fit its checkpoint."""
    decisions.check_machine(run.config, world)
    announcements.say_default_corpus(run)
    config = run.config
    if run.initial is not None:
        config = decisions.adopt_architecture(config, run.initial, run.given)
    data = building.open_data(run)
    resuming.check_background(run, data.background)
    config = decisions.decide(config, data)
    # The text of the model from which training starts, or has started, is counted too.
    facts = run.entry.get("earlier", {}) if run.initial is None else run.initial.facts
    data.earlier = find_training_data(facts)
    run = replace(run, config=config, hparams=collect_hparams(run, config))
    resuming.check_resume(run, data, hardware.count_processes(config.trainer))
    return run, data


def check_changes(run: Run) -> None:
    """Raise InputError if a resume changes the length or the text of a run so that it fails.

    A sweep checks each of its jobs before the first one. `decide_run` checks them again.
    """
    resuming.check_resume(run, None)
    if run.checkpoint is not None and run.gives("data.input_txt", "data.input_h5"):
        resuming.check_resume(run, building.open_data(run))


def fit(
    run: Run, world: World, data: TextDataModule | None = None
) -> tuple[L.Trainer, LanguageModel]:
    """Train until the end, a signal, or a failure. All ranks call this with the same run.

    A signal raises Interrupted, after the checkpoint is written.
    """
    keep_freed_memory()
    data, config = data or building.open_data(run), run.config
    with (
        silence_libraries(),
        explain_errors(run) as trainers,
        building.open_loggers(config, run.first_step) as loggers,
    ):
        module = building.build_module(config, data.vocabulary, world.rank)
        if run.initial is not None:
            module.load_initial(run.initial)
        log = TrainingLog(config, run.hparams, run.swept, run.provenance)
        # The log is first, because the other callbacks read the logged values.
        callbacks = [log, MetricCheck(run)]
        callbacks += [
            building.build(config, f"callbacks.{name}", L.Callback) for name in config.callbacks
        ]
        if not any(isinstance(callback, ReproducibleSteps) for callback in callbacks):
            callbacks.append(ReproducibleSteps(config.threads, config.tf32))
        plugins = building.list_plugins(config, world.size)
        trainer = building.build(
            config, "trainer", callbacks=callbacks, logger=loggers, plugins=plugins
        )
        trainers.append(trainer)
        trainer.fit(module, data, ckpt_path=run.checkpoint, weights_only=True)
    return trainer, module
