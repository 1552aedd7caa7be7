"""The loggers of a run, from their beginning to their end."""

from __future__ import annotations

from hydra.utils import get_object
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from charrnn.errors import RunError, one_line
from charrnn.runs.building import build
from charrnn.runs.spec import RunSpec
from charrnn.say import say


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
