"""Build the parts of a run from its decided options: data, module, callbacks, loggers, trainer."""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any

import lightning as L
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch import callbacks as ready_made
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from charrnn.data import EncodedText, find_training_data, open_data
from charrnn.errors import InputError, RunError, is_out_of_memory, to_one_line
from charrnn.models.trained import BY_CHARACTER, TrainedModel
from charrnn.options.training import DataNode, DecidedOptions
from charrnn.runs.folder import escape_interpolations
from charrnn.runs.library_errors import explain_user_code
from charrnn.runs.plan import RunPlan
from charrnn.runs.world import World
from charrnn.say import say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import AtomicCheckpointIO, LanguageModel, TextDataModule, TrainingLog
from charrnn.training.checkpoints import CheckpointContext
from charrnn.training.signals import Signals

# These callbacks change the training at the start of an epoch, and checkpoints do not contain it.
INEXACT = (
    *(ready_made.BaseFinetuning, ready_made.GradientAccumulationScheduler, ready_made.ModelPruning),
    *(ready_made.BatchSizeFinder, ready_made.LearningRateFinder),
    ready_made.StochasticWeightAveraging,
)


def open_data_module(options: DataNode, beside_the_text: bool) -> TextDataModule:
    """Return a data module with its text, which decides the sizes of the run."""
    data: TextDataModule = build_node(
        "data", options.to_dict(), TextDataModule, beside_the_text=beside_the_text
    )
    data.prepare_data()
    data.setup()
    return data


def build_data(plan: RunPlan, text: EncodedText | None) -> TextDataModule:
    """Return the data module of a run. `text` is its text, if it is already open."""
    options, seed = plan.options.data, plan.options.seed
    text = text or open_data(*plan.files)
    supplied = {"seed": seed, "earlier": find_training_data(plan.earlier_facts)}
    if get_object(options.rest["_target_"]) is TextDataModule:
        supplied["encoded"] = text  # a user's subclass may change the text in setup()
    data: TextDataModule = build_node("data", options.to_dict(), TextDataModule, **supplied)
    data.setup()
    return data


def build_module(
    options: DecidedOptions,
    vocabulary: Vocabulary,
    num_batch_shards: int,
    rank: int = 0,
    initial: TrainedModel | None = None,
) -> LanguageModel:
    """Return the module of a run, with random weights or those of an initial model."""
    torch.manual_seed(options.seed)
    module: LanguageModel = build_node(
        "model",
        options.model.to_dict(),
        LanguageModel,
        vocabulary=vocabulary,
        optimizer=build_node("optimizer", {**options.optimizer, "_partial_": True}),
        schedule=build_node("schedule", {**options.schedule, "_partial_": True}),
        num_batch_shards=num_batch_shards,
    )
    if rank:  # all ranks have the same weights, but different dropout
        torch.manual_seed(options.seed + rank)
    if initial is not None:
        _load_initial(initial, module)
    return module


def _load_initial(trained: TrainedModel, module: LanguageModel) -> None:
    """Load the weights of a model whose vocabulary may differ.

    A character in both vocabularies gets the model's rows of the embedding and the decoder. A new
    character keeps its random rows, and the rows of other characters are dropped.
    """
    characters = module.vocabulary.characters
    ids = {c: i for i, c in enumerate(trained.vocabulary.characters)}
    shared = [i for i, c in enumerate(characters) if c in ids]
    weights = {name: torch.tensor(w) for name, w in trained.weights.items()}
    random_weights = module.network.state_dict()
    for name in BY_CHARACTER:
        rows = random_weights[name].clone()
        rows[shared] = weights[name][[ids[characters[i]] for i in shared]]
        weights[name] = rows
    module.network.load_state_dict(weights)


def build_callbacks(plan: RunPlan, data: TextDataModule, signals: Signals) -> list[L.Callback]:
    """Return a `TrainingLog` and the callbacks of the config."""
    options = plan.options
    entry = {
        "config": options.to_dict(),
        "fingerprint": data.encoded.fingerprint,
        "background": data.background.fingerprint,
        "earlier": {} if data.earlier is None else data.earlier.facts,
        "batch_size": data.streams.batch_size,
        "seq_length": data.streams.seq_length,
    }
    context = CheckpointContext(plan.folder, options.checkpoint_every, signals, entry)
    callbacks: list[L.Callback] = [TrainingLog(options.to_dict())]
    for name, node in options.callbacks.items():
        callbacks.append(build_node(f"callbacks.{name}", node, checkpoint_context=context))
        if isinstance(callbacks[-1], INEXACT):
            raise InputError(
                f"callbacks.{name}: {type(callbacks[-1]).__name__} does not resume exactly; leave "
                f"it out (callbacks=ema averages the weights, and resumes)"
            )
    return callbacks


def build_loggers(plan: RunPlan, loggers: list[Logger]) -> None:
    """Start the loggers of the config, and append each to `loggers` before the next one starts."""
    for name, node in plan.options.logger.items():
        path = f"logger.{name}"
        if get_object(node["_target_"]) is TensorBoardLogger:
            # TensorBoard hides the values after this step from an interrupted run. A new run has
            # a mark as well, because TensorBoard ignores the first one.
            node = {"purge_step": plan.first_step + 1, **node}
        logger = build_node(path, node, save_dir=str(plan.folder), last_step=plan.first_step)
        loggers.append(logger)
        if isinstance(logger, (WandbLogger, MLFlowLogger)):
            try:
                _ = logger.experiment  # this contacts the server
            except Exception as error:
                raise RunError(f"{path}: cannot be started ({to_one_line(error)})") from error


def finish_loggers(loggers: list[Logger]) -> None:
    """Finish W&B's run, which would otherwise continue in the next job of a sweep."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            try:
                logger.experiment.finish()
            except Exception as error:  # not fatal, because the run's files are complete
                say(f"logger: W&B cannot be finished ({to_one_line(error)})")


def build_trainer(
    plan: RunPlan,
    data: TextDataModule,
    callbacks: list[L.Callback],
    loggers: list[Logger],
    world: World,
) -> L.Trainer:
    """Return Lightning's Trainer with the options of the config."""
    options = plan.options
    arguments = {n: value for n, value in options.trainer.to_dict().items() if n != "threads"}
    arguments |= {n: -1 for n in ("max_epochs", "max_steps") if arguments[n] is None}
    if arguments["precision"] == "tf32-true":
        arguments["precision"] = "32-true"  # `hardware.compute_reproducibly` turns TF32 on
    if options.validation_interval and data.split("val") is not None:
        windows = options.validation_interval * options.trainer.windows_per_step
        arguments["val_check_interval"] = windows
        arguments["check_val_every_n_epoch"] = None  # the interval continues across epochs
    else:
        arguments["limit_val_batches"] = 0
    # Set explicitly, because Lightning would also detect a SLURM job that does not use srun.
    environment = TorchElasticEnvironment() if world.size > 1 else LightningEnvironment()
    if world.size > 1:  # Lightning would set another number of threads
        os.environ["OMP_NUM_THREADS"] = str(options.trainer.threads)
    return build_node(
        "trainer",
        {"enable_model_summary": False, **arguments},
        callbacks=callbacks,
        logger=loggers,
        plugins=[AtomicCheckpointIO(), environment],
        default_root_dir=plan.folder,
        log_every_n_steps=options.print_every,
        enable_progress_bar=any(isinstance(c, ready_made.ProgressBar) for c in callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def build_node(path: str, node: dict[str, Any], base: type | None = None, **supplied: Any) -> Any:
    """Return the object of a config node: its `_target_`, called with its arguments.

    Args:
        path: the node's place in the config, for error messages.
        base: the public class of charrnn from which the target must derive.
        supplied: values for parameters of the target that the config does not set.
    """
    try:
        target = get_object(node["_target_"])
        if base is not None and not (isinstance(target, type) and issubclass(target, base)):
            raise InputError(
                f"{path}._target_={node['_target_']}: must be charrnn.{base.__name__} or derive "
                f"from it"
            )
        names = _find_parameters(target)
        arguments = {n: v for n, v in supplied.items() if n in names and n not in node}
        # Hydra resolves the config as a whole, and then each value.
        make = instantiate(escape_interpolations(node, times=2), _convert_="all", _partial_=True)
        # Hydra would convert some of the supplied objects to configs.
        make = functools.partial(make, **arguments)
        return make if node.get("_partial_") else make()
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        is_explained = isinstance(cause, InputError | RunError | OSError) or is_out_of_memory(cause)
        if not is_explained and explain_user_code(cause) is None:
            reason = f"{node['_target_']} cannot be made: {to_one_line(cause)}"
            raise InputError(f"{path}: {reason}") from cause
    raise cause  # after the block, in which Hydra's exception would become its context


def _find_parameters(target: Any) -> set[str]:
    """Return the parameters of a callable, and of a class's bases as long as it takes ``**``."""
    names: set[str] = set()
    for function in getattr(target, "__mro__", (target,)):
        parameters = inspect.signature(function).parameters
        names |= set(parameters)
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return names
