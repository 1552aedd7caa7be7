"""One training run in one process, from its config to its result.

config -> data, module, callbacks, loggers, trainer, each instantiated -> fit -> Result
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import re
import secrets
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder, ProgressBar
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from charrnn import own_code
from charrnn.errors import InputError, Interrupted, RunError, one_line
from charrnn.models.trained import TrainedModel
from charrnn.options.training import TrainOptions, definite
from charrnn.processor import keep_freed_memory
from charrnn.runs import budget, hardware
from charrnn.runs.announcements import introduce
from charrnn.runs.folder import link_latest
from charrnn.runs.other_models import (
    Initial,
    initial_weights,
    read_initial,
    require_same_tokens,
)
from charrnn.runs.process_group import lost, means_lost
from charrnn.runs.spec import Result, RunSpec
from charrnn.runs.world import SINGLE_PROCESS, World
from charrnn.say import say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel, SealedCheckpointIO, TextDataModule, TrainingLog
from charrnn.training.checkpoints import Run
from charrnn.training.divergence import diverged
from charrnn.training.signals import Signals


class Inputs(NamedTuple):
    """What a run reads, besides the checkpoint that it goes on from; each is read once.

    Attributes:
        initial: the model that a new run starts from (`init_from=`).
    """

    data: TextDataModule
    initial: TrainedModel | None = None

    @classmethod
    def read(cls, run: RunSpec) -> Inputs:
        """Open the data, and read the models that are named.

        The text is preprocessed where that was not done yet, and a seed is drawn where none is
        given (`data.seed`).

        Raises:
            InputError: a file cannot be used, or what does not fit together.
        """
        config = run.config
        seed = secrets.randbelow(2**31) if config.seed is None else config.seed
        node = budget.guessed(config).data.plain()
        _require_kind("data", node, TextDataModule)
        data: TextDataModule = build("data", node, seed=seed)
        data.seed = seed
        if run.files is not None:
            data.files = run.files
        elif config.data.input_txt is not None:
            # beside a text that only a record names, nothing is written
            named = {"data", "data.input_txt"} & {*run.given}
            data.beside_the_text = run.source is None or bool(named)
        data.prepare_data()
        assert data.files is not None
        h5, json = data.files
        data.files = (Path(h5).resolve(), Path(json).resolve())
        data.setup()
        initial = None
        if config.init_from is not None and run.checkpoint is None:
            initial = read_initial(config.init_from)
            require_same_tokens(config.init_from, initial, data.vocabulary, data.options.encoding)
        return cls(data, initial)


class Parts(NamedTuple):
    """What a run is made of: `trainer.fit(module, data)` trains it.

    Attributes:
        initial: what was taken of the model that it starts from (`init_from=`).
    """

    data: TextDataModule
    module: LanguageModel
    trainer: L.Trainer
    initial: Initial | None


def build_parts(
    run: RunSpec,
    inputs: Inputs,
    signals: Signals,
    world: World = SINGLE_PROCESS,
    begun: dict[str, Logger] | None = None,
) -> Parts:
    """Build what the config of a run names: module, callbacks, loggers and trainer.

    Args:
        run: with every choice made.
        begun: gets each logger as it begins, also where a later part cannot be built.

    Raises:
        InputError, RunError: something cannot be built so.
    """
    data, config = inputs.data, run.config
    module, initial = module_of(config, data.vocabulary, world), None
    if inputs.initial is not None:
        initial = _start_from(inputs.initial, module)
    begun = {} if begun is None else begun
    return Parts(data, module, _trainer(run, data, signals, world, begun), initial)


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
    config = run.config
    _quiet_lightning()
    keep_freed_memory()
    began = time.perf_counter()
    inputs = inputs or Inputs.read(run)
    data = inputs.data
    with (
        threads(config, data.streams.batch_size // world.size, world) as stream_threads,
        _explained(run, world, resumed := _Resumed(run)),
        _quiet_writers(),
        _finished_loggers() as loggers,
    ):
        _, module, trainer, initial = build_parts(run, inputs, signals, world, loggers)
        module.stream_threads = stream_threads
        trainer.callbacks.insert(0, resumed)
        if world.rank == 0:
            introduce(run, data, module, initial)
            link_latest(run.folder)
        trainer.fit(module, data, ckpt_path=run.checkpoint, weights_only=True)
    if module.best.is_missing:
        first = f"the first validation loss was {module.best.first:.4g}, and none was below"
        limit = module.best.limit(len(data.vocabulary))
        raise diverged(f"{first} {limit:.1f}", len(data.vocabulary))
    best, seconds = module.best, time.perf_counter() - began
    loss, step = (best.loss, best.step) if best.step else (None, trainer.global_step)
    return Result(run.folder, loss, step, seconds)


@contextlib.contextmanager
def threads(config: TrainOptions, streams: int, world: World) -> Iterator[int]:
    """Let torch use the threads that were chosen; yields how many share out the streams.

    Args:
        streams: of this process, fewer than `data.batch_size` where the text is short.
    """
    trainer, shares = config.trainer, 1
    threads = definite(trainer.threads)
    if trainer.accelerator == "gpu":
        hardware.make_deterministic()
    if world.launcher:
        # else Lightning sets a number of its own
        os.environ["OMP_NUM_THREADS"] = str(threads)
    if trainer.accelerator == "cpu":
        each = definite(config.data.batch_size) // world.size
        shares = min(hardware.chosen_shares(config.model, each, threads), streams)
    before = torch.get_num_threads()
    torch.set_num_threads(threads // shares)
    try:
        yield shares
    finally:
        torch.set_num_threads(before)  # a sweep's next run chooses anew


class _Resumed(L.Callback):
    """Whether a run has gone on from its checkpoint, with a step that was trained since."""

    def __init__(self, run: RunSpec) -> None:
        self.step = run.step
        self.is_done = run.checkpoint is None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.is_done = self.is_done or trainer.global_step > self.step


@contextlib.contextmanager
def _explained(run: RunSpec, world: World, resumed: _Resumed) -> Iterator[None]:
    """Say in a line what Lightning and torch raise for a reason that a person can change."""
    try:
        yield
    except (InputError, RunError, Interrupted):
        raise
    except Exception as error:
        if world.size > 1 and means_lost(error):
            raise lost(error) from error
        if _innermost_module(error).startswith("lightning.pytorch.callbacks."):
            # a monitor that there is not, for one: the text names those that there are
            raise InputError(f"callbacks: {one_line(error, 500)}") from error
        if isinstance(error, MisconfigurationException):
            raise InputError(f"trainer: {one_line(error, 500)}") from error
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            # torch has an error of its own for a GPU's memory, and only a text for other memory
            raise RunError(
                "there is too little memory; try a smaller data.batch_size, data.seq_length or "
                "model.hidden_size"
            ) from error
        if own := own_code.explained(error):
            raise own from error
        if isinstance(error, OSError):
            named = isinstance(error.filename, (str, bytes))
            where = os.fsdecode(error.filename) if named else run.folder
            what = error.strerror or one_line(error)
            raise RunError(f"{where}: cannot be read or written ({what})") from error
        if not resumed.is_done:
            # the checkpoint is what differs from the run that wrote it
            raise InputError(
                f"{run.checkpoint}: a run cannot go on from it ({type(error).__name__}: "
                f"{one_line(error)})"
            ) from error
        raise


def _innermost_module(error: BaseException) -> str:
    """The module in which an error was raised."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", ""))


@contextlib.contextmanager
def _quiet_writers() -> Iterator[None]:
    """Without the traceback of a thread that cannot write, such as TensorBoard's: the run ends
    by it, and says so in its line."""
    before = threading.excepthook

    def tell(failed: threading.ExceptHookArgs) -> None:
        if not isinstance(failed.exc_value, OSError):
            before(failed)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


def _quiet_lightning() -> None:
    """Keep Lightning's remarks off: what a person needs to know, we say ourselves."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in (r"lightning(\.|$)", r"torch\.utils\.tensorboard"):
        warnings.filterwarnings("ignore", module=pattern)
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")


# -- building what a config names --------------------------------------------------------


def build(path: str, node: dict[str, Any], **offered: Any) -> Any:
    """Instantiate a node of the config.

    Args:
        path: where it stands in the config, for what is said of it.
        offered: arguments that it is given if it has parameters of these names and the config
            does not set them.

    Raises:
        InputError: it cannot be built so.
    """
    try:
        names = _names_taken(get_object(node["_target_"]))
        given = {n: v for n, v in offered.items() if n in names and n not in node}
        made = instantiate(_escaped(node), _convert_="all", _partial_=True)
        # the offered objects go around Hydra, which would make configs of some
        made = functools.partial(made, **given)
        return made if node.get("_partial_") else made()
    except (InputError, RunError):
        raise
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, OSError):
            raise RunError(f"{path}: cannot be made ({cause.strerror or cause})") from cause
        raise InputError(f"{path}: {node['_target_']} cannot be made: {one_line(cause)}") from cause


def _require_kind(path: str, node: dict[str, Any], base: type) -> None:
    """Refuse what is built of a node where it is no `base`, one of charrnn's public classes."""
    target = get_object(node["_target_"])
    if not isinstance(target, type) or not issubclass(target, base):
        raise InputError(
            f"{path}._target_={node['_target_']}: must be charrnn.{base.__name__} or derive from it"
        )


def _names_taken(target: Any) -> set[str]:
    """The arguments of a callable; of a class that hands ``**`` on, those of its bases too."""
    names: set[str] = set()
    for part in getattr(target, "__mro__", (target,)):
        parameters = inspect.signature(part).parameters
        names |= set(parameters)
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return names


def _escaped(value: Any) -> Any:
    """Plain values as OmegaConf has to read them to leave them as they are."""
    if isinstance(value, dict):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    if isinstance(value, str):
        for _ in range(2):  # `instantiate` resolves its whole config, and then each value of it
            value = re.sub(r"(\\*)\$\{", lambda run: run[1] * 2 + r"\${", value)
    return value


def module_of(
    config: TrainOptions, vocabulary: Vocabulary, world: World = SINGLE_PROCESS
) -> LanguageModel:
    """The module of a run, with the weights that its seed makes."""
    torch.manual_seed(definite(config.seed))
    node = config.model.plain()
    optimizer = build("optimizer", {**config.optimizer, "_partial_": True})
    schedule = build("schedule", {**config.schedule, "_partial_": True})
    _require_kind("model", node, LanguageModel)
    try:
        module: LanguageModel = build(
            "model", node, vocabulary=vocabulary, optimizer=optimizer, schedule=schedule
        )
    except InputError as error:
        root = _root(error)
        too_large = isinstance(root, (RuntimeError, TypeError, MemoryError))
        if too_large and own_code.explained(root) is None:
            raise InputError(
                f"model.hidden_size={node['hidden_size']}: {node['num_layers']} layers of "
                f"this size do not fit into this machine's memory"
            ) from error
        raise
    if world.rank:
        # the same weights everywhere, but dropout of their own
        torch.manual_seed(definite(config.seed) + world.rank)
    return module


def _start_from(trained: TrainedModel, module: LanguageModel) -> Initial:
    """Give the network of a new run the weights of the model that it starts from."""
    initial = initial_weights(trained, module.vocabulary, module.network.state_dict())
    module.network.load_state_dict(initial.weights)
    return initial


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _trainer(
    run: RunSpec, data: TextDataModule, signals: Signals, world: World, begun: dict[str, Logger]
) -> L.Trainer:
    config, folder = run.config, run.folder
    recorded = config.plain()
    options = {name: value for name, value in recorded["trainer"].items() if name != "threads"}
    for name in ("max_epochs", "max_steps"):
        options[name] = -1 if options[name] is None else options[name]
    streams = data.streams
    entry = {
        "config": recorded,
        "choices": dict(run.choices),
        "fingerprint": data.encoded.fingerprint,
        "sizes": [streams.batch_size, streams.seq_length],
    }
    every = definite(config.checkpoint_every)
    given = Run(folder, every, signals, entry, run.best_is_lost)
    callbacks = [_callback(f"callbacks.{name}", n, given) for name, n in config.callbacks.items()]
    if sum(isinstance(callback, ProgressBar) for callback in callbacks) > 1:
        raise InputError(
            "callbacks: there are two progress bars; ~callbacks.progress leaves charrnn's own out"
        )
    for name, node in config.logger.items():
        begun[name] = _logger(f"logger.{name}", node, folder, run.step)
    # not what Lightning finds: a job of SLURM's whose processes srun did not start is alone
    environment = TorchElasticEnvironment() if world.size > 1 else LightningEnvironment()
    plugins = [SealedCheckpointIO(), environment]
    return build(
        "trainer",
        {"enable_model_summary": False, **options, **_validation(config, data)},
        callbacks=[TrainingLog(recorded), *callbacks],
        logger=[*begun.values()],
        plugins=plugins,
        default_root_dir=folder,
        log_every_n_steps=config.print_every,
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _callback(path: str, node: dict[str, Any], run: Run) -> L.Callback:
    callback: L.Callback = build(path, node, run=run)
    if isinstance(callback, (LearningRateFinder, BatchSizeFinder)):
        raise InputError(
            f"{path}: {type(callback).__name__} changes options of a run that has begun, and no "
            f"record would say so; sweep over them (charrnn train -m optimizer.lr=1e-3,3e-3), or "
            f"use lightning.pytorch.tuner.Tuner in a script"
        )
    return callback


def _validation(config: TrainOptions, data: TextDataModule) -> dict[str, Any]:
    """How often Lightning validates: every so many batches, whatever epoch they are in."""
    every = config.checkpoint_every if config.validate_every is None else config.validate_every
    if not every or data.split("val") is None:
        return {"limit_val_batches": 0}
    batches = every * config.trainer.windows_a_step
    found: dict[str, Any] = {"val_check_interval": batches, "check_val_every_n_epoch": None}
    share = config.trainer.rest.get("limit_val_batches", 1.0)
    if isinstance(share, float):
        # the text is one batch, which Lightning cannot take a part of
        data.val_share = share
        found["limit_val_batches"] = 1.0 if share else 0
    return found


def _logger(path: str, node: dict[str, Any], folder: Path, step: int) -> Any:
    if get_object(node["_target_"]) is TensorBoardLogger:
        # TensorBoard leaves out what a killed start wrote from here on; it takes the first
        # such mark for that of a new run, so a new run has one, too
        node = {"purge_step": step + 1, **node}
    # a logger without a folder of its own gets the run's
    logger = build(path, node, save_dir=str(folder), last_step=step)
    if isinstance(logger, (WandbLogger, MLFlowLogger)):
        try:
            _ = logger.experiment  # asks a server, which may refuse
        except Exception as error:
            raise RunError(f"{path}: cannot be begun ({one_line(error)})") from error
    return logger


@contextlib.contextmanager
def _finished_loggers() -> Iterator[dict[str, Logger]]:
    """A place for loggers as they begin; those that have to be finished are in the end."""
    begun: dict[str, Logger] = {}
    try:
        yield begun
    finally:
        for name, logger in begun.items():
            if isinstance(logger, WandbLogger):
                # it has one run a process, and a sweep's next job would be logged into it
                _finish(f"logger.{name}", logger)


def _finish(path: str, logger: WandbLogger) -> None:
    try:
        logger.experiment.finish()
    except Exception as error:  # the run's own files are whole, and what ended it is to be told
        say(f"{path}: cannot be finished ({one_line(error)})")
