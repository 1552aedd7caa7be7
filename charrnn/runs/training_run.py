"""Train a run: decide its options, build its parts, and fit."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loggers import Logger

from charrnn.data import EncodedText
from charrnn.errors import Interrupted, RunError
from charrnn.generation.processors import keep_freed_memory
from charrnn.runs import announcements, building, decisions, hardware, processes
from charrnn.runs import folder as folders
from charrnn.runs.library_errors import explain, silence_libraries
from charrnn.runs.plan import Result, RunPlan, RunRequest
from charrnn.runs.resume_point import ResumePoint, check_background, check_resume, find_resume_point
from charrnn.runs.summary import summarize_run
from charrnn.runs.world import SINGLE_PROCESS, World, detect_world
from charrnn.training.batch_shards import limit_threads
from charrnn.training.signals import Signals


def train(request: RunRequest, signals: Signals) -> Result:
    """Train a run as rank 0, and return its result. A finished run is not trained again.

    InputError means that no existing file is changed; other errors say how to resume.
    """
    world = detect_world()
    folder = request.folder
    explain_resume = partial(announcements.explain_resume, folder, request.resume_words)
    with folders.claim(folder, resumes=request.source == folder):
        try:
            point = find_resume_point(request.source, folder)
            is_finished = point is not None and point.is_end_of(request.options)
            # Also a finished run does not accept another text.
            if not is_finished or request.gives("data.input_txt") or request.gives("data.input_h5"):
                plan, text = plan_run(request, point, world)
            if point is not None and is_finished:
                if world.launcher:
                    processes.send_run(None)
                announcements.say_finished(request.source or folder, folder, point.step)
                home = point.path.parents[1]
                if not folders.is_run(home):  # The checkpoint was moved elsewhere.
                    return Result(folder, None, None, point.step, seconds=0.0)
                return _read_result(home, point.step, seconds=0.0)
            folders.record(folder, plan.options.to_dict(), request.overrides, request.hydra)
            start = time.perf_counter()
            with processes.lead_ranks(plan, world, explain_resume) as world:
                step = fit(plan, signals, world, text)
        except (Interrupted, RunError) as error:
            error.args = (f"{error}; {explain_resume()}",)
            raise
        result = _read_result(folder, step, time.perf_counter() - start)
        announcements.say_result(result)
        announcements.suggest_other_texts(plan, text)
        return result


def plan_run(
    request: RunRequest, point: ResumePoint | None, world: World
) -> tuple[RunPlan, EncodedText]:
    """Open the text of a run, and decide and check its options."""
    options, initial = request.options, None if point else request.initial
    decisions.check_machine(options, world)
    announcements.say_default_corpus(request)
    # Do not write next to a text that only a config names, which may be untrusted.
    may_write = request.source is None or request.gives("data.input_txt")
    data = building.open_data_module(options.data, beside_the_text=may_write)
    text = data.encoded

    val = data.split("val") if options.validate_every != 0 else None
    size = decisions.TextSize(len(data.streams.ids), 0 if val is None else len(val), text.is_list)
    measure = partial(decisions.measure_speed, vocabulary=text.vocabulary)
    if initial is not None:
        options = decisions.adopt_architecture(options, initial, request.given)
    decided, reason = decisions.decide(options, size, world, measure)
    streams = decisions.cut_text(decided, text)
    processes.check_ranks(decided, world)

    check_background(request, point, data.background)
    files = text.path.resolve(), text.json_path.resolve()
    if point is None:
        earlier_facts = {} if initial is None else initial.facts
        plan = RunPlan(decided, request.folder, files, earlier_facts, initial=initial)
    else:
        check_resume(point, decided, text, streams)
        entry = point.entry
        plan = RunPlan(decided, request.folder, files, entry["earlier"], point.path, point.step)
    if not options.trainer.has_length:
        announcements.say_decisions(decided, reason)
    return plan, text


def fit(
    plan: RunPlan, signals: Signals, world: World = SINGLE_PROCESS, text: EncodedText | None = None
) -> int:
    """Train until the end, a signal, or a failure, and return the number of trained steps.

    All ranks call this with the same plan. `text` is the encoded text, if it is already open. A
    signal raises Interrupted, after the checkpoint is written.
    """
    keep_freed_memory()
    options, trainer = plan.options, None
    loggers: list[Logger] = []
    try:
        data = building.build_data(plan, text)
        num_shards = hardware.count_batch_shards(options, data.streams.batch_size // world.size)
        with silence_libraries():
            module = building.build_module(
                options, data.vocabulary, num_shards, world.rank, plan.initial
            )
            callbacks = [
                hardware.ReproducibleSteps(options.trainer),
                LambdaCallback(on_train_start=partial(announcements.announce, plan, data)),
                *building.build_callbacks(plan, data, signals),
            ]
            building.build_loggers(plan, loggers)
            trainer = building.build_trainer(plan, data, callbacks, loggers, world)
            with limit_threads(options.trainer.threads // module.num_batch_shards):
                trainer.fit(module, data, ckpt_path=plan.checkpoint, weights_only=True)
        if world.size > 1:  # not after a failure, because it may wait for a failed rank
            torch.distributed.destroy_process_group()
    except Exception as error:
        if world.size > 1 and (lost := processes.to_lost_process(error)):
            raise lost from error
        # The first step uses the rest of a checkpoint, such as its counters.
        has_trained = trainer is not None and trainer.global_step > plan.first_step + 1
        checkpoint = None if has_trained else plan.checkpoint
        explanation = explain(error, plan.folder, checkpoint, processes.find_code(options))
        if explanation is error:
            raise
        raise explanation from error
    finally:
        building.finish_loggers(loggers)
    return trainer.global_step


def _read_result(folder: Path, last_step: int, seconds: float) -> Result:
    numbers = summarize_run(folder).numbers
    losses = numbers["loss"], numbers["network_loss"]
    return Result(folder, *losses, numbers["step"] or last_step, numbers["seconds"] or seconds)
