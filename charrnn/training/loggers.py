"""What loggers are told beside numbers: a run's options, and texts.

TensorBoard is told the options, a chart of both losses, and texts beside the curves. Its HParams
page puts the options that differ between the runs it shows before all others, and takes every
curve for a metric, as long as no run says which options and metrics there are. So none does:
Lightning's `log_hyperparams` would, and the page of a sweep would then list what the first run
names, by the alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from torch.utils.tensorboard.summary import hparams

# the lowest validation loss so far, which is what runs are compared by
BEST_LOSS = "best/val_loss"
# what only watches a run, or is the same in all: none is compared by it
WATCHING = ("progress", "samples", "checkpoints")
UNTOLD = (
    *("logger.", "data._target_", "model._target_", "trainer._target_"),
    *(f"callbacks.{name}." for name in WATCHING),
)
LAYOUT = {"loss": {"training and validation": ["Multiline", ["train/loss", "val/loss"]]}}


def introduce(logger: TensorBoardLogger, hyperparameters: dict[str, Any], step: int) -> None:
    """Tell of a run that begins, or goes on, with this step.

    Args:
        hyperparameters: nested plain values.
    """
    text = yaml.safe_dump(hyperparameters, sort_keys=False)
    writer = logger.experiment
    writer.add_text("config", as_markdown(text), step)
    writer.add_custom_scalars(LAYOUT)
    told = {n: v for n, v in _leaves(encodable(hyperparameters)) if not n.startswith(UNTOLD)}
    _, start, end = hparams(told, {})
    for summary in (start, end):
        writer.file_writer.add_summary(summary)


def log_text(loggers: Iterable[Logger], name: str, text: str, step: int) -> None:
    """Let every logger that keeps texts have one."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(name, as_markdown(text), step)
        elif isinstance(logger, WandbLogger):
            logger.log_text(name, columns=["text"], data=[[encodable(text)]], step=step)
        elif isinstance(logger, MLFlowLogger):
            file = f"{name}/step-{step:07d}.txt"
            logger.experiment.log_text(logger.run_id, encodable(text), file)


def as_markdown(text: str) -> str:
    """The text, indented, so that TensorBoard's Markdown leaves it as it is."""
    return "\n".join("    " + line for line in encodable(text).split("\n"))


def encodable(value: Any) -> Any:
    """The same values, without what stands for bytes that are no UTF-8 (in names of files, say)."""
    if isinstance(value, dict):
        return {name: encodable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [encodable(inner) for inner in value]
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float | str]]:
    """Options under the names that the command line has for them; without those that are null."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield prefix + name, value
        elif value is not None:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)
