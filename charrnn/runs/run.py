"""A run on one page: claim its folder, decide what is open, record it, build its parts, and fit."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import lightning as L
from omegaconf import OmegaConf

from charrnn.data import find_training_data
from charrnn.errors import (
    InputError,
    RunError,
    is_out_of_memory,
    make_write_error,
    to_one_line,
)
from charrnn.files import require_replaceable
from charrnn.options.training import flatten
from charrnn.processors import keep_freed_memory
from charrnn.runs import announcements, building, decisions, hardware, processes, resume
from charrnn.runs import folder as folders
from charrnn.runs.run_values import Result, Run
from charrnn.runs.summary import METRICS
from charrnn.runs.surroundings import silence_libraries
from charrnn.runs.world import SINGLE_PROCESS, World, detect_world
from charrnn.training import LanguageModel, ReproducibleSteps, TextDataModule, TrainingLog
from charrnn.training.validation import is_fitting


def train(run: Run) -> Result:
    """Train a run as rank 0, and return its result. A finished run is not trained again.

    InputError means that no existing file is changed; other errors say how to resume.
    """
    world, start = detect_world(), time.perf_counter()
    may_hold_run = run.is_in_place or run.begins_again
    with folders.claim(run.folder, may_hold_run), announcements.explain_resume(run):
        is_finished = run.record is not None and resume.is_finished(run.record, run.config)
        # Also a finished run does not accept another text.
        if not is_finished or run.gives("data.input_txt", "data.input_h5"):
            run, data = decide_run(run, world)
        if is_finished:
            processes.send_run(None, world)
            return announcements.say_finished(run)
        record_run(run)
        with processes.lead_ranks(run, world) as world:
            trainer, module = fit(run, world, data)
        result = announcements.make_result(run, trainer, module, time.perf_counter() - start)
        folders.write_result(run.folder, run.config.optimized_metric, result.objective)
        announcements.say_result(result)
        announcements.suggest_other_text(run, data.encoded)
        return result


def decide_run(run: Run, world: World) -> tuple[Run, TextDataModule]:
    """Return the run with a decided config, and its data. Check that both fit its checkpoint."""
    decisions.check_machine(run.config, world)
    announcements.say_default_corpus(run)
    config = run.config
    if run.initial is not None:
        config = decisions.adopt_architecture(config, run.initial, run.given)
    data = building.open_data(run)
    if run.record is not None:
        resume.check_background(run.record, config, data.background)
    config = decisions.decide(config, data, world)
    # The text of the model from which training starts, or has started, is counted too.
    earlier = {} if run.record is None else run.record.entry["earlier"]
    data.earlier = find_training_data(earlier if run.initial is None else run.initial.facts)
    processes.check_ranks(config, world)
    if run.record is not None:
        resume.check_data(run.record, config, data, hardware.count_processes(config.trainer))
    return replace(run, config=config, hparams=collect_hparams(run, config)), data


def collect_hparams(run: Run, decided: Any) -> dict[str, Any]:
    """Return the options that were swept, given or decided, in this order, with their values."""
    choices = {group: "+".join(names) for group, names in run.choices.items()}
    values = {**choices, **flatten(OmegaConf.to_container(decided, resolve=True))}
    names = dict.fromkeys((*run.swept, *run.given, *decisions.DECIDED))
    return {name: values[name] for name in names if name in values and name != "resume"}


def record_run(run: Run) -> None:
    """Write the decided config into the run's folder, and let outputs/latest link to it."""
    for name in (folders.RESULT, METRICS, *folders.MODEL_FILES):  # which are written later
        require_replaceable(run.folder / name)
    if run.begins_again:
        folders.remove_first_try(run.folder)
    config: Any = OmegaConf.to_container(run.config)
    folders.record(run.folder, config, run.words, run.hydra)
    folders.link_latest(run.folder)


def fit(
    run: Run, world: World = SINGLE_PROCESS, data: TextDataModule | None = None
) -> tuple[L.Trainer, LanguageModel]:
    """Train until the end, a signal, or a failure. All ranks call this with the same run.

    A signal raises Interrupted, after the checkpoint is written.
    """
    keep_freed_memory()
    data, config = data or building.open_data(run), run.config
    with (
        silence_libraries(),
        building.open_loggers(config, run.first_step) as loggers,
    ):
        module = building.build_module(config, data.vocabulary, world.rank)
        if run.initial is not None:
            module.load_initial(run.initial)
        # The log is first, because the other callbacks read the logged values.
        log = TrainingLog(config, run.hparams, run.swept, run.provenance)
        callbacks = [log, MetricCheck(run), *building.build_callbacks(config)]
        if not any(isinstance(callback, ReproducibleSteps) for callback in callbacks):
            callbacks.append(ReproducibleSteps(config.threads, config.tf32))
        trainer = building.build_trainer(config, callbacks, loggers, world.size)
        try:
            trainer.fit(module, data, ckpt_path=run.checkpoint, weights_only=True)
        except Exception as error:
            if (explained := _explain_failure(error, run, trainer)) is None:
                raise
            raise explained from error
        if world.size > 1:  # not after a failure, because it may wait for a failed rank
            processes.leave_group()
    return trainer, module


def _explain_failure(error: Exception, run: Run, trainer: L.Trainer) -> Exception | None:
    """Return an error that says what only the run knows; None if it knows no more."""
    if trainer.world_size > 1 and (lost := processes.to_lost_process(error)):
        return lost
    if isinstance(error, OSError) and error.filename is None:
        return make_write_error(run.folder, error)
    # The first step uses the rest of a checkpoint, such as its counters.
    has_trained = run.checkpoint is None or trainer.global_step > run.first_step + 1
    if has_trained or isinstance(error, InputError | RunError | OSError) or is_out_of_memory(error):
        return None
    reason = to_one_line(error, with_type=True)
    return InputError(f"{run.checkpoint}: a run cannot resume from it ({reason})")


class MetricCheck(L.Callback):
    """Refuses an `optimized_metric` that is not logged at the first validation."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        metric, metrics = self.run.config.optimized_metric, trainer.callback_metrics
        if is_fitting(trainer) and metric is not None and metric not in metrics:
            names = ", ".join(sorted(map(str, metrics)))
            message = f"optimized_metric={metric}: is not logged; there are {names}"
            if folders.find_checkpoint(self.run.folder):
                message += f"; {self.run.explain_resume()} optimized_metric=NAME"
            raise InputError(message)
