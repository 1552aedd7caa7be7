"""One training run, from its options to its result.

options, data -> network, streams -> Lightning's Trainer with our callbacks -> Result
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml

from charrnn.allocation import keep_freed_memory
from charrnn.data import EncodedText, Streams
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.models.trained import Architecture
from charrnn.network import Network
from charrnn.options import TrainOptions
from charrnn.training import hardware
from charrnn.training.callbacks import Checkpoints, TrainingLog, Validation
from charrnn.training.checkpoints import Best, WholeCheckpointIO
from charrnn.training.datamodule import TextDataModule
from charrnn.training.group import Group, joined, lost, means_lost
from charrnn.training.initial import initial_weights
from charrnn.training.launchers import ALONE, Place
from charrnn.training.metrics import Metrics
from charrnn.training.module import LanguageModel
from charrnn.training.plan import make_plan
from charrnn.training.progress import Progress, say
from charrnn.training.signals import Signals
from charrnn.training.state import check_loops, check_state
from charrnn.training.task import Result, Start


@contextlib.contextmanager
def _threads_put_back() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)  # a sweep's next run chooses anew


@_threads_put_back()
def train(
    options: TrainOptions,
    config: dict[str, Any],
    data: EncodedText,
    folder: Path,
    start: Start,
    signals: Signals,
    place: Place = ALONE,
) -> Result:
    """Train in `folder` until the end, a signal, or a failure.

    Several processes call it with the same arguments but for their own `place`; the one of
    rank 0 writes and speaks, the others do neither.

    Args:
        options: with every automatic choice made (`hardware.resolve`).
        config: the same as plain values, for the checkpoints.

    Raises:
        InputError: the data or the checkpoint does not fit.
        RunError: training diverged, or a file could not be written.
        LostProcess: another process of the run is gone.
        Interrupted: a signal ended it; the checkpoint is written.
    """
    _quiet_lightning()
    if options.trainer.accelerator == "gpu":
        hardware.make_deterministic()
    keep_freed_memory()
    if place.launcher:
        # else Lightning sets a number of its own
        os.environ["OMP_NUM_THREADS"] = str(options.trainer.threads)
    plan = make_plan(options, data, start, place.processes)
    streams, total_steps = plan.streams, plan.total_steps
    threads, shares = options.trainer.threads, 1
    assert threads is not None
    if options.trainer.accelerator == "cpu":
        each = streams.batch_size // place.processes
        shares = hardware.chosen_shares(options.model, each, threads)
    torch.set_num_threads(threads // shares)
    rank_zero = place.rank == 0
    network = _network(options, data, start, place)
    if start.content is not None:
        try:
            check_state(start.content, network, options.optimizer.name)
        except (ValueError, InputError) as error:
            raise InputError(f"{start.path}: cannot be resumed from ({error})") from None
    progress = _progress(options, streams, total_steps) if rank_zero else None
    if progress is not None:
        _introduce(options, data, streams, network, start)
    module = LanguageModel(
        network,
        options.optimizer,
        options.schedule,
        windows=streams.windows,
        total_steps=total_steps,
        fused=options.trainer.precision != "16-mixed" and options.trainer.accelerator != "mps",
        shares=shares,
    )
    metrics = _metrics(options, config, folder, start) if rank_zero else None
    trainer, checkpoints = _trainer(
        options, config, data, streams, folder, start, signals, module, metrics, progress, place
    )
    began = time.perf_counter()
    try:
        with metrics or contextlib.nullcontext(), joined(place, options.trainer):
            _fit(trainer, module, TextDataModule(streams, total_steps), start)
            best = checkpoints.best
            if metrics is not None and not signals.received:
                metrics.finished(trainer.global_step)
    finally:
        if progress is not None:
            progress.close()
    if signals.received:
        raise Interrupted(f"stopped after step {trainer.global_step}", signals.received)
    return Result(
        best.loss if best.step else None,
        best.step,
        time.perf_counter() - began,
        trainer.global_step >= total_steps or trainer.should_stop,
    )


def _quiet_lightning() -> None:
    """Keep Lightning's remarks off: what a person needs to know, we say ourselves."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in (r"lightning(\.|$)", r"torch\.utils\.tensorboard"):
        warnings.filterwarnings("ignore", module=pattern)
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")


def _network(options: TrainOptions, data: EncodedText, start: Start, place: Place) -> Network:
    assert options.seed is not None
    torch.manual_seed(options.seed)
    try:
        network = Network(Architecture(**vars(options.model), vocabulary_size=len(data.vocabulary)))
    except (RuntimeError, TypeError, MemoryError) as error:
        raise InputError(
            f"model.hidden_size={options.model.hidden_size}: {options.model.num_layers} layers of "
            f"this size do not fit into this machine's memory"
        ) from error
    if options.init_from is not None and start.content is None:
        network.load_state_dict(initial_weights(options.init_from, options.model, data.vocabulary))
    if place.rank:
        # the same weights everywhere, but dropout of their own
        torch.manual_seed(options.seed + place.rank)
    return network


def _progress(options: TrainOptions, streams: Streams, total_steps: int) -> Progress:
    return Progress(
        windows=streams.windows,
        total_steps=total_steps,
        characters=streams.batch_size * streams.seq_length,
        bar=options.callbacks.progress_bar,
    )


def _metrics(options: TrainOptions, config: dict[str, Any], folder: Path, start: Start) -> Metrics:
    # in a new folder, a run that goes on from elsewhere has no rows before that
    metrics = Metrics(folder, last_step=start.step, tensorboard=options.logger.tensorboard)
    metrics.text("config", yaml.safe_dump(config, sort_keys=False), start.step + 1)
    metrics.hyperparameters(config, start.step + 1)
    return metrics


def _introduce(
    options: TrainOptions, data: EncodedText, streams: Streams, network: Network, start: Start
) -> None:
    wanted = (options.data.batch_size, options.data.seq_length)
    sizes = {name: len(ids) for name, ids in data.splits.items()}
    m = options.model
    say(f"corpus: {data.path}")
    say(f"  vocabulary {len(data.vocabulary)}, characters {sum(sizes.values())}")
    say(f"  train {sizes['train']}, val {sizes['val']}, test {sizes['test']}")
    say(
        f"model: {m.kind}, {m.num_layers} x {m.hidden_size}, embedding {m.embedding_size}, "
        f"dropout {m.dropout:g}; {network.num_parameters():,} parameters"
    )
    if (streams.batch_size, streams.seq_length) != wanted:
        say(
            f"little text ({sizes['train']} characters to train on): data.batch_size is "
            f"{streams.batch_size} and data.seq_length {streams.seq_length} here, not "
            f"{wanted[0]} and {wanted[1]}"
        )
    say(
        f"streams: {streams.batch_size} x {streams.seq_length} characters a step, "
        f"{streams.windows} steps an epoch"
    )
    say(f"device: {hardware.describe(options.trainer)}")
    if start.path is not None:
        say(f"going on from {start.path}, step {start.step}")


def _trainer(
    options: TrainOptions,
    config: dict[str, Any],
    data: EncodedText,
    streams: Streams,
    folder: Path,
    start: Start,
    signals: Signals,
    module: LanguageModel,
    metrics: Metrics | None,
    progress: Progress | None,
    place: Place,
) -> tuple[L.Trainer, Checkpoints]:
    every = options.checkpoint_every
    validate_every = every if options.validate_every is None else options.validate_every
    val_ids = data.unread("val") if validate_every else None
    validates = val_ids is not None and len(val_ids) >= 2
    checkpoints = Checkpoints(
        folder,
        metrics=metrics,
        signals=signals,
        vocabulary=data.vocabulary,
        entry={
            "config": config,
            "fingerprint": data.fingerprint,
            "sizes": [streams.batch_size, streams.seq_length],
        },
        facts={
            "input_h5": str(data.path.resolve()),
            "input_json": str(data.json_path.resolve()),
            "encoding": options.data.encoding,
        },
        best=Best(**start.entry["best"]) if start.content else Best(),
        checkpoint_every=every,
        keep_every=options.callbacks.keep_every,
        validates=validates,
    )
    callbacks: list[L.Callback] = [
        TrainingLog(metrics, progress, options.print_every, streams.batch_size * streams.seq_length)
    ]
    if validates:
        assert val_ids is not None
        callbacks.append(
            Validation(
                folder,
                val_ids,
                checkpoints=checkpoints,
                metrics=metrics,
                progress=progress,
                validate_every=validate_every,
                threads=options.trainer.threads,
                options=options.callbacks,
            )
        )
    callbacks.append(checkpoints)
    t = options.trainer
    trainer = L.Trainer(
        accelerator=t.accelerator,
        devices=t.devices,
        num_nodes=t.num_nodes,
        strategy=t.strategy,
        precision=t.precision,  # type: ignore[arg-type]
        max_epochs=-1,
        max_steps=module.total_steps,
        gradient_clip_val=t.gradient_clip_val,
        gradient_clip_algorithm=t.gradient_clip_algorithm,
        callbacks=callbacks,
        plugins=[WholeCheckpointIO(), Group(place)],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
        log_every_n_steps=1,
    )
    # its handler of SIGTERM talks to the other processes, in the middle of whatever they do;
    # without it there is nothing that they would have to ask each other before every step
    trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]
    return trainer, checkpoints


def _nothing() -> None:
    pass


def _fit(
    trainer: L.Trainer, module: LanguageModel, datamodule: TextDataModule, start: Start
) -> None:
    try:
        if start.content is not None:
            check_loops(start.content, trainer, datamodule)
        trainer.fit(module, datamodule, ckpt_path=start.path, weights_only=True)
    except (InputError, RunError, Interrupted):
        raise
    except Exception as error:
        if trainer.world_size > 1 and means_lost(error):
            raise lost(error) from error
        what = " ".join(str(error).split())[:200]
        if start.path is not None and trainer.global_step <= start.step and module.state is None:
            raise InputError(f"{start.path}: cannot be resumed from ({what})") from error
        # torch has an error of its own for a GPU's memory, and only a text for other memory
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in what:
            raise RunError(
                "there is too little memory; try a smaller data.batch_size, data.seq_length or "
                "model.hidden_size"
            ) from error
        raise
