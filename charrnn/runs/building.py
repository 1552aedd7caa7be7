"""Build the parts of a run: each node of its config is an object under Hydra's `instantiate`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger
from omegaconf import DictConfig, OmegaConf

from charrnn.errors import InputError, RunError, is_out_of_memory, to_one_line
from charrnn.runs.folder import escape_interpolations
from charrnn.runs.library_errors import explain_user_code
from charrnn.say import say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel


def build(config: DictConfig, name: str, base: type | None = None, **arguments: Any) -> Any:
    """Return the object of a config's node. Raise InputError if it cannot be made.

    Args:
        name: the dotted name of the node.
        base: the public class of charrnn from which the node's class must derive.
        arguments: more arguments of the class, such as objects.
    """
    # The whole config is resolved, because a node may refer to others.
    values: Any = OmegaConf.to_container(config, resolve=True)
    for part in name.split("."):
        values = values[int(part) if isinstance(values, list) else part]
    try:
        target = get_object(values["_target_"])
        if base is not None and not (isinstance(target, type) and issubclass(target, base)):
            raise InputError(
                f"{name}._target_={values['_target_']}: must be charrnn.{base.__name__} or derive "
                f"from it"
            )
        # Hydra resolves the node as a whole, and then each value.
        node = escape_interpolations({"_convert_": "all", **values}, times=2)
        # Called afterwards, because Hydra would convert some of the objects to configs.
        return instantiate(node, _partial_=True)(**arguments)
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        is_explained = isinstance(cause, InputError | RunError | OSError) or is_out_of_memory(cause)
        if not is_explained and explain_user_code(cause) is None:
            reason = f"{values['_target_']} cannot be made: {to_one_line(cause)}"
            raise InputError(f"{name}: {reason}") from cause
    raise cause  # after the block, in which Hydra's exception would become its context


def build_module(config: DictConfig, vocabulary: Vocabulary, rank: int = 0) -> LanguageModel:
    """Return the module of a run, with random weights that are the same on all ranks."""
    torch.manual_seed(config.seed)
    module: LanguageModel = build(config, "model", LanguageModel, vocabulary=vocabulary)
    if rank:  # but with different dropout
        torch.manual_seed(config.seed + rank)
    return module


@contextlib.contextmanager
def open_loggers(config: DictConfig, first_step: int) -> Iterator[list[Logger]]:
    """Start the loggers of the config, and finish W&B's run, which would include the next run."""
    loggers: list[Logger] = []
    try:
        for name, node in config.logger.items():
            # TensorBoard hides the values of an interrupted run that follow the resumed step.
            marks: dict[str, Any] = {"purge_step": first_step + 1} if "purge_step" in node else {}
            loggers.append(build(config, f"logger.{name}", **marks))
            if isinstance(loggers[-1], (WandbLogger, MLFlowLogger)):
                try:
                    _ = loggers[-1].experiment  # this contacts the server
                except Exception as error:
                    reason = to_one_line(error)
                    raise RunError(f"logger.{name}: cannot be started ({reason})") from error
        yield loggers
    finally:
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                try:
                    logger.experiment.finish()
                except Exception as error:  # not fatal, because the run's files are complete
                    say(f"logger: W&B cannot be finished ({to_one_line(error)})")


def list_plugins(config: DictConfig, world_size: int) -> list[Any]:
    """Return the trainer's plugins, with the environment in which Lightning finds its ranks."""
    nodes = config.trainer.get("plugins") or []
    plugins = [build(config, f"trainer.plugins.{i}") for i in range(len(nodes))]
    # Set explicitly, because Lightning would also detect a SLURM job that does not use srun.
    environment = TorchElasticEnvironment() if world_size > 1 else LightningEnvironment()
    return [*plugins, environment]
