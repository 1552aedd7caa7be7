"""Building what a node of the config names: its `_target_`, with its arguments; the loggers."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from charrnn.errors import InputError, RunError, one_line
from charrnn.runs.library_errors import TOO_LITTLE_MEMORY, is_out_of_memory
from charrnn.runs.own_code import own_code_error
from charrnn.runs.recorded_config import escaped
from charrnn.runs.spec import RunSpec
from charrnn.say import say


def build(path: str, node: dict[str, Any], base: type | None = None, **supplied: Any) -> Any:
    """Instantiate a node of the config.

    Args:
        path: where it stands in the config, for error messages.
        base: a public class of charrnn's, which the target must be or derive from.
        supplied: arguments that it is given if it has parameters of these names and the config
            does not set them.

    Raises:
        InputError: it cannot be built so.
        OwnCodeError: somebody's own constructor failed.
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
        make = instantiate(escaped(node, times=2), _convert_="all", _partial_=True)
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
        if own := own_code_error(cause):
            raise own from cause
        raise InputError(f"{path}: {node['_target_']} cannot be made: {one_line(cause)}") from cause


def _parameters(target: Any) -> set[str]:
    """The arguments of a callable; of a class that hands ``**`` on, those of its bases too."""
    names: set[str] = set()
    for part in getattr(target, "__mro__", (target,)):
        parameters = inspect.signature(part).parameters
        names |= set(parameters)
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return names


def build_loggers(run: RunSpec, loggers: list[Logger]) -> None:
    """Begin those of the config.

    Args:
        loggers: gets each as it begins, also where a later one cannot.

    Raises:
        RunError: the server of one refuses.
    """
    for name, node in run.config.logger.items():
        path = f"logger.{name}"
        if get_object(node["_target_"]) is TensorBoardLogger:
            # TensorBoard leaves out what a killed start wrote from here on; it takes the first
            # such mark for that of a new run, so a new run has one, too
            node = {"purge_step": run.step + 1, **node}
        # a logger without a folder of its own gets the run's
        logger = build(path, node, save_dir=str(run.folder), last_step=run.step)
        loggers.append(logger)
        if isinstance(logger, (WandbLogger, MLFlowLogger)):
            try:
                _ = logger.experiment  # asks a server, which may refuse
            except Exception as error:
                raise RunError(f"{path}: cannot be begun ({one_line(error)})") from error


def finish_loggers(loggers: list[Logger]) -> None:
    """End what would go on in the process: W&B has one run in it, a sweep's next job's too."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            try:
                logger.experiment.finish()
            except Exception as error:  # the run's own files are whole
                say(f"logger: W&B cannot be finished ({one_line(error)})")
