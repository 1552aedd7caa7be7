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
from charrnn.errors import InputError, RunError, to_one_line
from charrnn.models.trained import BY_CHARACTER, TrainedModel
from charrnn.options.training import DataNode, DecidedOptions
from charrnn.runs.folder import escape_interpolations
from charrnn.runs.library_errors import TOO_LITTLE_MEMORY, explain_own_code, is_out_of_memory
from charrnn.runs.plan import RunPlan
from charrnn.runs.world import World
from charrnn.say import say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import AtomicCheckpointIO, LanguageModel, TextDataModule, TrainingLog
from charrnn.training.checkpoints import CheckpointContext
from charrnn.training.signals import Signals

# Each of these changes something as an epoch begins, or before the first, that no checkpoint holds.
INEXACT = (
    *(ready_made.BaseFinetuning, ready_made.GradientAccumulationScheduler, ready_made.ModelPruning),
    *(ready_made.BatchSizeFinder, ready_made.LearningRateFinder),
    ready_made.StochasticWeightAveraging,
)


def open_data_module(options: DataNode, beside_the_text: bool) -> TextDataModule:
    """Return a data module with its text, preprocessed if needed, before the sizes are decided.

    Args:
        beside_the_text: whether new files may lie beside the text, or in the cache only.
    """
    data: TextDataModule = build_node(
        "data", options.plain(), TextDataModule, beside_the_text=beside_the_text
    )
    data.prepare_data()
    data.setup()
    return data


def build_data(plan: RunPlan, text: EncodedText | None) -> TextDataModule:
    """Return the data module of a run.

    Args:
        text: if this process has opened it already.
    """
    options, seed = plan.options.data, plan.options.seed
    text = text or open_data(*plan.files)
    supplied = {"seed": seed, "earlier": find_training_data(plan.earlier_facts)}
    if get_object(options.rest["_target_"]) is TextDataModule:
        supplied["encoded"] = text  # a user's own module may change the text as it sets it up
    data: TextDataModule = build_node("data", options.plain(), TextDataModule, **supplied)
    data.setup()
    return data


def build_module(
    options: DecidedOptions,
    vocabulary: Vocabulary,
    num_batch_shards: int,
    rank: int = 0,
    initial: TrainedModel | None = None,
) -> LanguageModel:
    """Return the module of a run, with the weights that its seed makes, or of an initial model."""
    torch.manual_seed(options.seed)
    module: LanguageModel = build_node(
        "model",
        options.model.plain(),
        LanguageModel,
        vocabulary=vocabulary,
        optimizer=build_node("optimizer", {**options.optimizer, "_partial_": True}),
        schedule=build_node("schedule", {**options.schedule, "_partial_": True}),
        num_batch_shards=num_batch_shards,
    )
    if rank:  # the ranks have the same weights, and each draws its own dropout
        torch.manual_seed(options.seed + rank)
    if initial is not None:
        _load_initial(initial, module)
    return module


def _load_initial(trained: TrainedModel, module: LanguageModel) -> None:
    """Give a fresh network the weights of a model, which may know other characters.

    A character that both the model and the text have keeps its row of the embedding and of the
    decoder. A character of the text alone keeps the row that the run's seed made, and a character
    of the model alone is left behind. All other weights are the model's.
    """
    characters = module.vocabulary.characters
    ids = {c: i for i, c in enumerate(trained.vocabulary.characters)}
    ours = [i for i, c in enumerate(characters) if c in ids]
    theirs = [ids[characters[i]] for i in ours]
    weights = {name: torch.tensor(w) for name, w in trained.weights.items()}
    fresh = module.network.state_dict()
    for name in BY_CHARACTER:
        rows = fresh[name].clone()
        rows[ours] = weights[name][theirs]
        weights[name] = rows
    module.network.load_state_dict(weights)


def build_callbacks(plan: RunPlan, data: TextDataModule, signals: Signals) -> list[L.Callback]:
    """Return the callbacks of the config, after the one that logs the training.

    Raises:
        InputError: a callback cannot be built, or does not resume exactly.
    """
    options = plan.options
    entry = {
        "config": options.plain(),
        "fingerprint": data.encoded.fingerprint,
        "background": data.background.fingerprint,
        "earlier": {} if data.earlier is None else data.earlier.facts,
        "batch_size": data.streams.batch_size,
        "seq_length": data.streams.seq_length,
    }
    context = CheckpointContext(plan.folder, options.checkpoint_every, signals, entry)
    callbacks: list[L.Callback] = [TrainingLog(options.plain())]
    for name, node in options.callbacks.items():
        callbacks.append(build_node(f"callbacks.{name}", node, checkpoint_context=context))
        if isinstance(callbacks[-1], INEXACT):
            raise InputError(
                f"callbacks.{name}: {type(callbacks[-1]).__name__} does not resume exactly; leave "
                f"it out (callbacks=ema averages the weights, and resumes)"
            )
    return callbacks


def build_loggers(plan: RunPlan, loggers: list[Logger]) -> None:
    """Begin the loggers of the config.

    Args:
        loggers: gets each as it begins, also where a later one cannot.

    Raises:
        RunError: the server of one refuses.
    """
    for name, node in plan.options.logger.items():
        path = f"logger.{name}"
        if get_object(node["_target_"]) is TensorBoardLogger:
            # TensorBoard leaves out what a killed start wrote from here on; it takes the first
            # such mark for that of a new run, so a new run has one, too
            node = {"purge_step": plan.first_step + 1, **node}
        # a logger without a folder of its own gets the run's
        logger = build_node(path, node, save_dir=str(plan.folder), last_step=plan.first_step)
        loggers.append(logger)
        if isinstance(logger, (WandbLogger, MLFlowLogger)):
            try:
                _ = logger.experiment  # asks a server, which may refuse
            except Exception as error:
                raise RunError(f"{path}: cannot be begun ({to_one_line(error)})") from error


def finish_loggers(loggers: list[Logger]) -> None:
    """End what would go on in the process: W&B has one run in it, a sweep's next job's too."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            try:
                logger.experiment.finish()
            except Exception as error:  # the run's own files are whole
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
    arguments = {n: value for n, value in options.trainer.plain().items() if n != "threads"}
    arguments |= {n: -1 for n in ("max_epochs", "max_steps") if arguments[n] is None}
    if arguments["precision"] == "tf32-true":
        arguments["precision"] = "32-true"  # `hardware.make_deterministic` turned TF32 on
    if options.validation_interval and data.split("val") is not None:
        # every so many batches, whatever epoch they are in
        windows = options.validation_interval * options.trainer.windows_a_step
        arguments["val_check_interval"] = windows
        arguments["check_val_every_n_epoch"] = None
    else:
        arguments["limit_val_batches"] = 0
    # Lightning would also find a SLURM job whose processes srun did not start
    environment = TorchElasticEnvironment() if world.size > 1 else LightningEnvironment()
    if world.size > 1:
        # else Lightning sets a number of threads of its own
        os.environ["OMP_NUM_THREADS"] = str(options.trainer.threads)
    trainer: L.Trainer = build_node(
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
    return trainer


def build_node(path: str, node: dict[str, Any], base: type | None = None, **supplied: Any) -> Any:
    """Return the object that a node of the config names: its `_target_`, with its arguments.

    Args:
        path: where it stands in the config, for error messages.
        base: a public class of charrnn's, which the target must be or derive from.
        supplied: arguments that it is given if it has parameters of these names and the config
            does not set them.

    Raises:
        InputError: it cannot be built so.
        UserCodeError: a constructor of the user's code failed.
    """
    try:
        target = get_object(node["_target_"])
        if base is not None and not (isinstance(target, type) and issubclass(target, base)):
            raise InputError(
                f"{path}._target_={node['_target_']}: must be charrnn.{base.__name__} or derive "
                f"from it"
            )
        names = _parameters(target)
        arguments = {n: v for n, v in supplied.items() if n in names and n not in node}
        # which resolves its whole config, and then each value of it
        make = instantiate(escape_interpolations(node, times=2), _convert_="all", _partial_=True)
        # the supplied objects go around Hydra, which would make configs of some
        make = functools.partial(make, **arguments)
        return make if node.get("_partial_") else make()
    except (InputError, RunError):
        raise
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, OSError):
            raise RunError(f"{path}: cannot be made ({cause.strerror or cause})") from cause
        if is_out_of_memory(cause):
            raise InputError(f"{path}: {TOO_LITTLE_MEMORY}") from cause
        if own := explain_own_code(cause):
            raise own from cause
        raise InputError(
            f"{path}: {node['_target_']} cannot be made: {to_one_line(cause)}"
        ) from cause


def _parameters(target: Any) -> set[str]:
    """The arguments of a callable; of a class that hands ``**`` on, those of its bases too."""
    names: set[str] = set()
    for part in getattr(target, "__mro__", (target,)):
        parameters = inspect.signature(part).parameters
        names |= set(parameters)
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return names
