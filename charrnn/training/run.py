"""One training run, from its options to its result.

options, data -> network, streams -> Lightning's Trainer with our callbacks -> Result
"""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from charrnn.checkpoint import ENTRY
from charrnn.data import EncodedText, Streams, cut_streams, fitting_sizes
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.modelfile import Architecture
from charrnn.network import Network
from charrnn.options import TrainOptions
from charrnn.training import hardware
from charrnn.training.callbacks import Checkpoints, TrainingLog, Validation
from charrnn.training.checkpoints import Best, WholeCheckpointIO
from charrnn.training.datamodule import TextDataModule
from charrnn.training.initial import initial_weights
from charrnn.training.metrics import Metrics
from charrnn.training.module import LanguageModel
from charrnn.training.progress import Progress, say
from charrnn.training.signals import Signals


@dataclass(frozen=True)
class Start:
    """Where a run begins: a checkpoint that it goes on from, or nothing.

    Attributes:
        path: the checkpoint file; None for a new run.
        content: what `charrnn.checkpoint.read` made of it.
    """

    path: Path | None = None
    content: dict[str, Any] | None = None

    @property
    def step(self) -> int:
        return int(self.content["global_step"]) if self.content else 0

    @property
    def entry(self) -> dict[str, Any]:
        return dict(self.content[ENTRY]) if self.content else {}


@dataclass(frozen=True)
class Result:
    """How a run ended: the best validation loss (None without validation), at which step."""

    best_loss: float | None
    best_step: int
    seconds: float
    finished: bool


def train(
    options: TrainOptions,
    config: dict[str, Any],
    data: EncodedText,
    folder: Path,
    start: Start,
    signals: Signals,
) -> Result:
    """Train in `folder` until the end, a signal, or a failure.

    Args:
        options: with every automatic choice made (`hardware.resolve`).
        config: the same as plain values, for the checkpoints.

    Raises:
        InputError: the data or the checkpoint does not fit.
        RunError: training diverged, or a file could not be written.
        Interrupted: a signal ended it; the checkpoint is written.
    """
    _quiet_lightning()
    assert options.trainer.threads is not None
    torch.set_num_threads(options.trainer.threads)
    streams = _streams(options, data)
    total_steps = _total_steps(options, streams.windows)
    _check_fits(data, streams, start)
    rank_zero = _rank() == 0
    network = _network(options, data)
    progress = _progress(options, streams, total_steps) if rank_zero else None
    if progress is not None:
        _introduce(options, data, streams, network)
    module = LanguageModel(
        network,
        options.optimizer,
        options.schedule,
        windows=streams.windows,
        total_steps=total_steps,
        fused=options.trainer.precision != "16-mixed" and options.trainer.accelerator != "mps",
    )
    metrics = _metrics(options, config, folder, start) if rank_zero else None
    trainer, checkpoints = _trainer(
        options, config, data, streams, folder, start, signals, module, metrics, progress
    )
    began = time.perf_counter()
    try:
        _fit(trainer, module, TextDataModule(data, streams, total_steps), start)
        best = checkpoints.best
        if metrics is not None and best.step:
            metrics.hyperparameters(config, best.loss)
    finally:
        if progress is not None:
            progress.close()
        if metrics is not None:
            metrics.close()
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


def _rank() -> int:
    """This process's rank before the process group exists, as every launcher tells it."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return getattr(rank_zero_only, "rank", None) or 0


def _streams(options: TrainOptions, data: EncodedText) -> Streams:
    wanted = (options.data.batch_size, options.data.seq_length)
    size = len(data.splits["train"])
    try:
        batch_size, seq_length = fitting_sizes(size, *wanted)
    except ValueError:
        raise InputError(
            f"{data.path}: its training split has {size} characters, and training needs 2 or "
            f"more; give a longer text, or smaller data.val_frac and data.test_frac"
        ) from None
    count = hardware.processes(options.trainer)
    if batch_size % count:
        raise InputError(
            f"data.batch_size={batch_size}: cannot be split evenly over {count} processes; "
            f"make it a multiple of {count}"
        )
    if (batch_size, seq_length) != wanted and _rank() == 0:
        say(
            f"little text ({size} characters to train on): data.batch_size is {batch_size} "
            f"and data.seq_length {seq_length} here, not {wanted[0]} and {wanted[1]}"
        )
    return cut_streams(data, "train", batch_size, seq_length)


def _total_steps(options: TrainOptions, windows: int) -> int:
    trainer = options.trainer
    by_epochs = trainer.max_epochs * windows if trainer.max_epochs is not None else None
    bounds = [b for b in (by_epochs, trainer.max_steps) if b is not None]
    return min(bounds)


def _check_fits(data: EncodedText, streams: Streams, start: Start) -> None:
    """Refuse to go on with other data than the checkpoint's."""
    if start.content is None:
        return
    if start.entry["fingerprint"] != data.fingerprint():
        raise InputError(
            f"{data.path}: the data is not what {start.path} was trained on; bring it back "
            f"to resume, or start anew from its weights with init_from={start.path}"
        )
    if start.entry["sizes"] != [streams.batch_size, streams.seq_length]:
        raise InputError(
            f"{start.path}: was trained with data.batch_size={start.entry['sizes'][0]} "
            f"data.seq_length={start.entry['sizes'][1]}, which a resume cannot change"
        )


def _network(options: TrainOptions, data: EncodedText) -> Network:
    assert options.seed is not None
    torch.manual_seed(options.seed)
    network = Network(Architecture.of(options.model, len(data.vocabulary)))
    if options.init_from is not None:
        network.load_state_dict(initial_weights(options.init_from, options.model, data.vocabulary))
    if _rank():
        torch.manual_seed(options.seed + _rank())
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
    metrics.text("config", yaml.safe_dump(config, sort_keys=False), start.step)
    return metrics


def _introduce(
    options: TrainOptions, data: EncodedText, streams: Streams, network: Network
) -> None:
    sizes = {name: len(ids) for name, ids in data.splits.items()}
    m = options.model
    say(f"corpus: {data.path}")
    say(f"  vocabulary {len(data.vocabulary)}, characters {sum(sizes.values())}")
    say(f"  train {sizes['train']}, val {sizes['val']}, test {sizes['test']}")
    say(
        f"model: {m.kind}, {m.num_layers} x {m.hidden_size}, embedding {m.embedding_size}, "
        f"dropout {m.dropout:g}; {network.num_parameters():,} parameters"
    )
    say(
        f"streams: {streams.batch_size} x {streams.seq_length} characters a step, "
        f"{streams.windows} steps an epoch"
    )
    say(f"device: {hardware.describe(options.trainer)}")


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
) -> tuple[L.Trainer, Checkpoints]:
    every = options.checkpoint_every
    validate_every = every if options.validate_every is None else options.validate_every
    val_ids = data.ids("val") if validate_every else None
    validates = val_ids is not None and len(val_ids) >= 2
    checkpoints = Checkpoints(
        folder,
        metrics=metrics,
        signals=signals,
        vocabulary=data.vocabulary,
        entry={
            "config": config,
            "fingerprint": data.fingerprint(),
            "sizes": [streams.batch_size, streams.seq_length],
        },
        facts={
            "input_h5": str(data.path.resolve()),
            "input_json": str(data.json_path.resolve()),
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
                options=options.callbacks,
            )
        )
    callbacks.append(checkpoints)
    t = options.trainer
    plugins: list[Any] = [WholeCheckpointIO()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
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
        plugins=plugins,
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
    return trainer, checkpoints


def _fit(
    trainer: L.Trainer, module: LanguageModel, datamodule: TextDataModule, start: Start
) -> None:
    try:
        trainer.fit(module, datamodule, ckpt_path=start.path, weights_only=True)
    except (InputError, RunError, Interrupted):
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:200]
        if start.path is not None and trainer.global_step <= start.step and module.state is None:
            raise InputError(f"{start.path}: cannot be resumed from ({what})") from error
        if trainer.world_size > 1 and isinstance(error, RuntimeError):
            raise RunError(
                f"a process of this run ended or lost its connection ({what}); "
                f"resume={trainer.default_root_dir} goes on from the last checkpoint"
            ) from error
        raise
