"""Build the parts of a run: each node of its config is an object under Hydra's `instantiate`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import lightning as L
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.errors import InputError, RunError, is_out_of_memory, to_one_line
from charrnn.options.cells import find_cell
from charrnn.options.training import flatten
from charrnn.runs.folder import escape_interpolations
from charrnn.runs.run_values import Run
from charrnn.say import say
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel, TextDataModule

# the packages of the built-in cells
LIBRARIES = ("charrnn", "lightning", "torch")


def build(config: DictConfig, name: str, base: type | None = None, **arguments: Any) -> Any:
    """Return the object of a config's node. Raise InputError if it cannot be made.

    Args:
        name: the dotted name of the node.
        base: the public class of charrnn from which the node's class must derive.
        arguments: more arguments of the class, such as objects.
    """
    node: Any = OmegaConf.to_container(OmegaConf.select(config, name), resolve=True)
    values = {key: value for key, value in node.items() if key not in arguments}
    target = get_object(values["_target_"])
    if base is not None and isinstance(target, type) and not issubclass(target, base):
        raise _make_class_error(name, values["_target_"], base)
    try:
        # Hydra resolves the node as a whole, and then each value.
        values = escape_interpolations({"_convert_": "all", **values}, times=2)
        # Called afterwards, because Hydra would convert some of the objects to configs.
        made = instantiate(values, _partial_=True)
        made = made if values.get("_partial_") else made(**arguments)
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        is_explained = isinstance(cause, InputError | RunError | OSError)
        if not (is_explained or is_out_of_memory(cause)):
            reason = f"{values['_target_']} cannot be made: {to_one_line(cause)}"
            raise InputError(f"{name}: {reason}") from cause
    else:
        if base is not None and not isinstance(made, base):
            raise _make_class_error(name, values["_target_"], base)
        return made
    raise cause  # after the block, in which Hydra's exception would become its context


def _make_class_error(name: str, target: str, base: type) -> InputError:
    """Return the error for an object that is not of class `base`."""
    place = base.__module__
    package = import_module(place.partition(".")[0])
    if getattr(package, base.__name__, None) is base:  # Users know it by its shortest name.
        place = package.__name__
    return InputError(
        f"{name}._target_={target}: must make a {place}.{base.__name__}, or derive from it"
    )


def find_user_classes(config: DictConfig) -> dict[str, str]:
    """Return the classes of a config that the user has chosen, by the options that name them.

    They are neither charrnn's, nor those of libraries in conf/.
    """
    texts = (path.read_text("utf-8") for path in plugins.CONF.rglob("*.yaml"))
    ready_made = {word for text in texts for word in re.findall(r"_target_: ([\w.]+)", text)}
    values = flatten(OmegaConf.to_container(config))
    targets = {
        n.removesuffix("._target_"): str(v)
        for n, v in values.items()
        if "_target_" in n and v not in ready_made and not str(v).startswith("charrnn.")
    }
    module = find_cell(config.model.kind).module
    if not isinstance(module, str):
        module = f"{module.__module__}.{getattr(module, '__qualname__', '')}"
    if module.split(".")[0] not in LIBRARIES:
        targets["model.kind"] = module
    return targets


def open_data(run: Run) -> TextDataModule:
    """Return the data module of a run, with its text."""
    # Do not write next to a text that only a record names, which may be untrusted.
    may_write = run.record is None or run.gives("data.input_txt")
    data: TextDataModule = build(run.config, "data", TextDataModule, beside_the_text=may_write)
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


@contextlib.contextmanager
def open_loggers(config: DictConfig, first_step: int) -> Iterator[list[Logger]]:
    """Start the loggers of the config, and finish W&B's run, which would include the next run."""
    loggers: list[Logger] = []
    try:
        for name, node in config.logger.items():
            if node is None:
                continue
            # TensorBoard hides the values of an interrupted run that follow the resumed step.
            marks: dict[str, Any] = {"purge_step": first_step + 1} if "purge_step" in node else {}
            loggers.append(build(config, f"logger.{name}", Logger, **marks))
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
