"""Build the parts of a run: each node of its config is an object under Hydra's `instantiate`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig, OmegaConf

from charrnn.errors import InputError, RunError, is_out_of_memory, to_one_line
from charrnn.options.interpolations import escape_interpolations
from charrnn.options.ranges import require
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel, TextDataModule

if TYPE_CHECKING:
    from charrnn.runs.run import Run


def build(config: DictConfig, name: str, base: type, **arguments: Any) -> Any:
    """Return the object of a config's node. Raise InputError if it cannot be made.

    Args:
        name: the dotted name of the node.
        base: the class from which the object's class must derive.
        arguments: more arguments of the class, such as objects.
    """
    node: Any = OmegaConf.to_container(OmegaConf.select(config, name), resolve=True)
    # Hydra resolves a node as a whole, and then each value: a literal ${ is escaped for both.
    escaped = escape_interpolations({"_convert_": "all", **node}, times=2)
    target = node["_target_"]
    try:
        made = instantiate(escaped, **arguments)
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, InputError | RunError | OSError) or is_out_of_memory(cause):
            raise cause from None
        raise InputError(f"{name}: {target} cannot be made: {to_one_line(cause)}") from cause
    why = f"must make a {base.__name__}, or derive from it"
    require(isinstance(made, base), f"{name}._target_", target, why)
    return made


def open_data(run: Run) -> TextDataModule:
    """Return the data module of a run, with its text."""
    data: TextDataModule = build(run.config, "data", TextDataModule)
    data.prepare_data()
    data.setup("fit")
    return data


def build_module(config: DictConfig, vocabulary: Vocabulary, rank: int = 0) -> LanguageModel:
    """Return the module of a run, with random weights that are the same on all ranks."""
    torch.manual_seed(config.seed)
    module: LanguageModel = build(config, "model", LanguageModel, vocabulary=vocabulary)
    if rank:  # but with different dropout
        torch.manual_seed(config.seed + rank)
    return module


def build_callbacks(config: DictConfig) -> list[L.Callback]:
    """Return the callbacks of the config, without those that are null."""
    names = [name for name, node in config.callbacks.items() if node is not None]
    return [build(config, f"callbacks.{name}", L.Callback) for name in names]


def build_trainer(
    config: DictConfig, callbacks: list[L.Callback], loggers: list[Logger], world_size: int
) -> L.Trainer:
    """Return the trainer of the config, with the environment in which Lightning finds its ranks."""
    nodes = range(len(config.trainer.get("plugins") or []))
    plugins = [build(config, f"trainer.plugins.{i}", object) for i in nodes]
    # Set explicitly, because Lightning would also detect a SLURM job that does not use srun.
    plugins += [TorchElasticEnvironment() if world_size > 1 else LightningEnvironment()]
    arguments = {"callbacks": callbacks, "logger": loggers, "plugins": plugins}
    trainer: L.Trainer = build(config, "trainer", L.Trainer, **arguments)
    return trainer


@contextlib.contextmanager
def open_loggers(config: DictConfig, first_step: int) -> Iterator[list[Logger]]:
    """Make the loggers of the config, and finish W&B's run, which would include the next run."""
    loggers: list[Logger] = []
    with contextlib.ExitStack() as at_end:
        for name, node in config.logger.items():
            if node is None:
                continue
            # TensorBoard hides the values of an interrupted run that follow the resumed step.
            marks: dict[str, Any] = {"purge_step": first_step + 1} if "purge_step" in node else {}
            loggers.append(logger := build(config, f"logger.{name}", Logger, **marks))
            if isinstance(logger, WandbLogger):
                at_end.callback(logger.experiment.finish)  # `experiment` starts it
        yield loggers
