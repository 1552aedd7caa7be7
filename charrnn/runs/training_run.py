"""`charrnn train`, from the config of a run to its result: one page, from top to bottom."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import lightning as L
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch import callbacks as ready_made
from lightning.pytorch.loggers import Logger

from charrnn import files, plugins
from charrnn.data import same_training_data
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.models.trained import TrainedModel
from charrnn.options.training import TrainOptions, not_none
from charrnn.runs import (
    announcements,
    budget,
    hardware,
    newest_checkpoint,
    preflight,
    processes,
    speed,
)
from charrnn.runs import folder as folders
from charrnn.runs.building import build, build_loggers, finish_loggers
from charrnn.runs.freed_memory import keep_freed_memory
from charrnn.runs.initial_model import adopt_architecture, load_initial
from charrnn.runs.library_errors import explained, quiet_libraries
from charrnn.runs.model_lookup import read_model
from charrnn.runs.spec import Result, RunSpec
from charrnn.runs.world import SINGLE_PROCESS, World, detect_world
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import AtomicCheckpointIO, LanguageModel, TextDataModule, TrainingLog
from charrnn.training.checkpoints import Run
from charrnn.training.signals import Signals

# what these change as epochs begin, or before the first, no checkpoint holds
INEXACT = (
    *(ready_made.BaseFinetuning, ready_made.GradientAccumulationScheduler, ready_made.ModelPruning),
    *(ready_made.BatchSizeFinder, ready_made.LearningRateFinder),
    ready_made.StochasticWeightAveraging,
)


def train(run: RunSpec, signals: Signals) -> Result:
    """Train in a run folder, in this process or in several of which it is rank 0 or the parent.

    A run that is finished already says so, and its result is returned.

    Raises:
        InputError: something does not fit; nothing that stood is changed.
        RunError, Interrupted: the line says how to go on.
    """
    world = detect_world()
    folders.require_no_links(run.folder)
    with folders.lock(run.folder):
        # looked at under the lock: before it, another process may have begun in here
        is_new = all(path.name == ".lock" for path in run.folder.iterdir())
        if run.source != run.folder:
            folders.refuse_run(run.folder)
        files.remove_unfinished(run.folder)
        run = newest_checkpoint.from_checkpoint(run)
        gives_text = any(name.partition(".")[0] == "data" for name in run.given)
        if newest_checkpoint.is_finished(run) and not gives_text:
            return _finished(run, world)
        with _with_resume_hint(run, is_new):
            run, inputs = prepared(run, world)
            if newest_checkpoint.is_finished(run):
                return _finished(run, world)  # its text is the one that is given
            folders.record(run)
            run = newest_checkpoint.with_best_model(run)
            count = hardware.processes(run.config.trainer)
            if count == 1:
                result = fit(run, signals, inputs=inputs)
            elif world.launcher:
                processes.send_run(run)
                result = fit(run, signals, world, inputs)
            else:
                result = processes.train_together(fit, run, count, signals)
        announcements.say_end(run, result, _run_end_files(run))
        announcements.say_what_helps(run, inputs.data)
        return result


# -- config --------------------------------------------------------------------------------


class Inputs(NamedTuple):
    """What a run reads once, besides its checkpoint; `initial` is the model of `init_from=`."""

    data: TextDataModule
    initial: TrainedModel | None = None


def prepared(run: RunSpec, world: World = SINGLE_PROCESS) -> tuple[RunSpec, Inputs]:
    """Read what a run reads, make every choice that is left open, and check what comes of it.

    Raises:
        InputError: something does not fit.
    """
    hardware.resolve(budget.with_default_sizes(run.config), world)  # or refuse, before it reads
    announcements.say_default_corpus(run)
    inputs = read_inputs(run)
    config, data = run.config, inputs.data
    if inputs.initial is not None:
        config = replace(config, model=adopt_architecture(config, inputs.initial, run.given))
    config = replace(config, seed=data.seed)
    val = data.split("val") if config.validate_every != 0 else None
    config = budget.resolve(
        config,
        characters=len(data.streams.ids),
        validated=0 if val is None else len(val),
        speed_of=lambda candidate: speed.measure(candidate, data.vocabulary, world, build_module),
    )
    data.batch_size = not_none(config.data.batch_size)
    config = replace(config, trainer=hardware.resolve(config, world), resume=None)
    assert data.files is not None
    run = replace(run, config=config, files=data.files)
    preflight.check_data(run, data, hardware.processes(config.trainer))
    return run, inputs


def read_inputs(run: RunSpec) -> Inputs:
    """Open the data, and read the model that it starts from.

    The text is preprocessed where that was not done yet, and a seed is drawn where none is
    given (`data.seed`).

    Raises:
        InputError: a file cannot be used, or what does not fit together.
    """
    config = run.config
    seed = secrets.randbelow(2**31) if config.seed is None else config.seed
    node = budget.with_default_sizes(config).data.plain()
    data: TextDataModule = build("data", node, TextDataModule, seed=seed)
    data.seed = seed
    if run.files is not None:
        data.files = run.files
    elif config.data.input_txt is not None:
        # beside a text that only a record names, nothing is written
        data.beside_the_text = run.source is None or bool({"data", "data.input_txt"} & {*run.given})
    data.prepare_data()
    assert data.files is not None
    h5, json = data.files
    data.files = (Path(h5).resolve(), Path(json).resolve())
    data.setup()
    preflight.check_background(run, data)
    if run.entry is not None:
        data.earlier = same_training_data(run.entry["earlier"])
    if config.init_from is None or run.entry is not None:
        return Inputs(data)
    initial = read_model(config.init_from)
    data.earlier = same_training_data(initial.facts)
    return Inputs(data, initial)


# -- module, callbacks, loggers, trainer -----------------------------------------------------


def build_parts(
    run: RunSpec,
    inputs: Inputs,
    signals: Signals,
    world: World = SINGLE_PROCESS,
    loggers: list[Logger] | None = None,
) -> tuple[LanguageModel, L.Trainer]:
    """Build what the config of a run names: ``trainer.fit(module, data)`` trains.

    Args:
        run: with every choice made.
        loggers: gets each as it begins, also where a later part cannot be built.

    Raises:
        InputError, RunError: something cannot be built so.
    """
    data, loggers = inputs.data, [] if loggers is None else loggers
    module = build_module(run.config, data.vocabulary, world)
    if inputs.initial is not None:
        load_initial(inputs.initial, module)
    callbacks = [announcements.Announcement(run), *build_callbacks(run, data, signals)]
    build_loggers(run, loggers)
    return module, build_trainer(run, data, callbacks, loggers, world)


def build_module(
    config: TrainOptions, vocabulary: Vocabulary, world: World = SINGLE_PROCESS
) -> LanguageModel:
    """The module of a run, with the weights that its seed makes."""
    hardware.make_deterministic(config.trainer)
    torch.manual_seed(not_none(config.seed))
    module: LanguageModel = build(
        "model",
        config.model.plain(),
        LanguageModel,
        vocabulary=vocabulary,
        optimizer=build("optimizer", {**config.optimizer, "_partial_": True}),
        schedule=build("schedule", {**config.schedule, "_partial_": True}),
    )
    if world.rank:
        # the same weights everywhere, but dropout of their own
        torch.manual_seed(not_none(config.seed) + world.rank)
    return module


def build_callbacks(run: RunSpec, data: TextDataModule, signals: Signals) -> list[L.Callback]:
    """Those of the config, and before them the one that reports."""
    config, streams = run.config, data.streams
    entry = {
        "config": config.plain(),
        "fingerprint": data.encoded.fingerprint,
        "background": data.background.fingerprint,
        "earlier": {} if data.earlier is None else data.earlier.facts,
        "batch_size": streams.batch_size,
        "seq_length": streams.seq_length,
    }
    context = Run(run.folder, not_none(config.checkpoint_every), signals, entry, run.best_is_lost)
    callbacks: list[L.Callback] = [TrainingLog(config.plain())]
    for name, node in config.callbacks.items():
        callbacks.append(build(f"callbacks.{name}", node, run=context))
        if isinstance(callbacks[-1], INEXACT):
            raise InputError(
                f"callbacks.{name}: {type(callbacks[-1]).__name__} does not resume exactly; leave "
                f"it out (callbacks=ema averages the weights, and resumes)"
            )
    return callbacks


def build_trainer(
    run: RunSpec,
    data: TextDataModule,
    callbacks: list[L.Callback],
    loggers: list[Logger],
    world: World = SINGLE_PROCESS,
) -> L.Trainer:
    """Lightning's Trainer with the options of the config."""
    config = run.config
    options = {n: value for n, value in config.trainer.plain().items() if n != "threads"}
    options |= {n: -1 for n in ("max_epochs", "max_steps") if options[n] is None}
    if options["precision"] == "tf32-true":
        options["precision"] = "32-true"  # `hardware.make_deterministic` turned TF32 on
    every = config.checkpoint_every if config.validate_every is None else config.validate_every
    if every and data.split("val") is not None:
        # every so many batches, whatever epoch they are in
        options["val_check_interval"] = every * config.trainer.windows_a_step
        options["check_val_every_n_epoch"] = None
    else:
        options["limit_val_batches"] = 0
    # not what Lightning finds: a job of SLURM's whose processes srun did not start is alone
    environment = TorchElasticEnvironment() if world.size > 1 else LightningEnvironment()
    return build(
        "trainer",
        {"enable_model_summary": False, **options},
        callbacks=callbacks,
        logger=loggers,
        plugins=[AtomicCheckpointIO(), environment],
        default_root_dir=run.folder,
        log_every_n_steps=config.print_every,
        enable_progress_bar=any(isinstance(c, ready_made.ProgressBar) for c in callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


# -- fit -----------------------------------------------------------------------------------


def fit(
    run: RunSpec, signals: Signals, world: World = SINGLE_PROCESS, inputs: Inputs | None = None
) -> Result:
    """Train until the end, a signal, or a failure.

    Several processes call it with the same run; the one of rank 0 writes and speaks.

    Args:
        inputs: where this process has read them already.

    Raises:
        InputError: the data, the checkpoint or an option does not fit.
        RunError: training diverged, or a file could not be written.
        Interrupted: a signal ended it; the checkpoint is written.
    """
    began = time.perf_counter()
    keep_freed_memory()
    inputs = inputs or read_inputs(run)
    streams = inputs.data.streams.batch_size // world.size
    loggers: list[Logger] = []
    trainer: L.Trainer | None = None
    try:
        with quiet_libraries(), hardware.threads(run.config, streams, world) as num_shards:
            module, trainer = build_parts(run, inputs, signals, world, loggers)
            module.num_batch_shards = num_shards
            trainer.fit(module, inputs.data, ckpt_path=run.checkpoint, weights_only=True)
        if world.size > 1:  # not after a failure: it may wait for processes that are gone
            torch.distributed.destroy_process_group()
    except Exception as error:
        if world.size > 1 and (lost := processes.lost_process(error)):
            raise lost from error
        has_trained = trainer is not None and trainer.global_step > run.step
        explanation = explained(error, run.folder, None if has_trained else run.checkpoint)
        if explanation is error:
            raise
        raise explanation from error
    finally:
        finish_loggers(loggers)
    best = module.best
    loss, step = (best.loss, best.step) if best.step else (None, trainer.global_step)
    return Result(run.folder, loss, step, time.perf_counter() - began)


# -- the end -------------------------------------------------------------------------------


def _finished(run: RunSpec, world: World) -> Result:
    """The result of a run that has nothing left to do."""
    if world.launcher:
        processes.send_run(None)
    announcements.say_finished(run, _run_end_files(run))
    assert run.entry is not None
    loss, step = run.entry["best_loss"], run.entry["best_step"]
    return Result(run.folder, loss if step else None, step or run.step, 0.0)


def _run_end_files(run: RunSpec) -> list[Path]:
    """The files that extras make of a run that has ended."""
    paths = [part.at_end(run.folder) for part in plugins.parts("run_end")]
    return [path for path in paths if path is not None]


@contextlib.contextmanager
def _with_resume_hint(run: RunSpec, is_new: bool) -> Iterator[None]:
    """Add to what ends a run how to go on with it; one that was refused leaves nothing behind."""
    try:
        yield
    except InputError:
        if is_new and not any(run.folder.glob("checkpoints/*.ckpt")):
            folders.clear(run.folder)
        raise
    except (Interrupted, RunError) as error:
        error.args = (f"{error}; {announcements.how_to_resume(run)}",)
        raise
