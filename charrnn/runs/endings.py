"""Print the result of a run, what would improve it, and how to resume it if it ended early."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from charrnn import plugins
from charrnn.errors import Interrupted, RunError
from charrnn.files import shorten_path
from charrnn.runs.folder import find_best_file, is_sweep
from charrnn.runs.result import Result, read_result
from charrnn.say import format_duration, say
from charrnn.text.background import is_prose
from charrnn.training import TextDataModule

if TYPE_CHECKING:
    from charrnn.runs.resume import Record
    from charrnn.runs.run import Run

SMALL_TEXT = 60_000  # A prose of fewer characters improves with another text (docs/counts.md).
LEAST_GAIN = 0.02  # nats per character by which the network should be better than the counts


@contextlib.contextmanager
def add_resume_hint(run: Run) -> Iterator[None]:
    """Add to an error or a signal that ends a run how to resume it."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted, RunError) as error:
        told = Interrupted("interrupted") if isinstance(error, KeyboardInterrupt) else error
        told.args = (f"{told}; {run.explain_resume()}",)
        raise told from None


def say_result(result: Result, advice: str = "") -> None:
    """Print the losses of the best model, what would improve it, and how to write with it."""
    say(f"{_format_losses(result)}trained in {format_duration(result.seconds)}{advice}")
    path = shorten_path(result.folder)
    files = [module.at_end(result.folder) for module in plugins.import_modules(plugins.RUN_ENDS)]
    say(", with ".join([f"run folder: {path}", *(file.name for file in files if file is not None)]))
    if find_best_file(result.folder) is None:
        say("no model was saved")
    else:
        words = " mode=lines novel=true num_samples=20" if result.is_list else ""
        say(f"sample from it: charrnn sample checkpoint={shlex.quote(path)}{words}")


def _format_losses(result: Result) -> str:
    """Return the losses of the network, the counts and both, or "" before a validation."""
    network, counts, both = result.compared_loss, result.counts_loss, result.loss
    if result.network_loss is None:
        return ""
    losses = f"network {result.network_loss:.4f}"
    if network is not None and counts is not None and both is not None:
        losses = f"network {network:.4f}, counts {counts:.4f}, both {both:.4f}"
        if network != result.network_loss:
            losses += f" (on the first characters; val/loss {result.network_loss:.4f})"
    return f"best model, of step {result.step:,}: {losses}; "


def say_finished(record: Record) -> Result:
    """Print that a run has already reached its end, and return its result."""
    home, step = record.folder, record.step
    hint = "to continue it, give a larger trainer.max_epochs or trainer.max_steps"
    say(f"{shorten_path(home)}: this run is finished, at step {step:,}; {hint}")
    result = read_result(home) or Result(home, step=step, steps=step)
    say_result(result)
    return result


def find_advice(run: Run, data: TextDataModule, result: Result) -> str:
    """Return what would improve the model of a run, as the end of a sentence, or ""."""
    if is_sweep(run.folder.parent):
        return ""
    advice, network, counts = "", result.compared_loss, result.counts_loss
    is_behind = network is not None and counts is not None and network > counts - LEAST_GAIN
    if is_behind and result.step == result.steps:
        advice += "; the network is not yet better than the counts: train longer"
    characters = sum(map(len, data.encoded.splits.values()))
    has_other_text = run.config.init_from is not None or run.config.data.background
    if characters <= SMALL_TEXT and not has_other_text and is_prose(data.encoded):
        advice += "; better with another text in its language: data.background=FILE"
    return advice
