"""Print the text of a run before it starts, and its result at the end."""

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
from charrnn.text.corpora import CORPORA
from charrnn.training import TextDataModule

if TYPE_CHECKING:
    from charrnn.runs.run import Run

SMALL_TEXT = 60_000  # A prose of fewer characters improves with another text (docs/counts.md).
LEAST_GAIN = 0.02  # nats per character by which the network should be better than the counts


@contextlib.contextmanager
def explain_resume(run: Run) -> Iterator[None]:
    """Add to an error or a signal that ends a run how to resume it."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {run.explain_resume()}") from None
    except (Interrupted, RunError) as error:
        error.args = (f"{error}; {run.explain_resume()}",)
        raise


def say_default_corpus(run: Run) -> None:
    """Print that a new run has the default corpus, because no text was given."""
    text = run.config.data.input_txt
    if text in CORPORA and run.record is None and not run.gives("data.input_txt"):
        say(f"no text was given, so the corpus is {text}; yours: charrnn train my.txt")


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


def say_finished(run: Run) -> Result:
    """Print that a run has already reached its end, and return its result."""
    assert run.record is not None
    home, path = run.record.folder, run.record.path
    hint = "to continue it, give a larger trainer.max_epochs or trainer.max_steps"
    shown = shorten_path(home if run.is_in_place else path)
    say(f"{shown}: this run is finished, at step {run.first_step:,}; {hint}")
    result = read_result(home) or Result(home, step=run.first_step, steps=run.first_step)
    if run.is_in_place:
        say_result(result)
    return result


def find_advice(run: Run, data: TextDataModule, result: Result) -> str:
    """Return what would improve the model of a run, as the end of a sentence, or ""."""
    if is_sweep(run.folder.parent):
        return ""
    other_text = "another text in its language: data.background=FILE"
    characters = sum(map(len, data.encoded.splits.values()))
    has_other_text = run.config.init_from is not None or run.config.data.background
    lacks_text = characters <= SMALL_TEXT and not has_other_text and is_prose(data.encoded)
    network, counts = result.compared_loss, result.counts_loss
    if network is None or counts is None or network <= counts - LEAST_GAIN:
        return f"; better with {other_text}" if lacks_text else ""
    ways = ["train longer"] if result.step == result.steps else []
    ways += [f"add {other_text}"] if lacks_text else []
    todo = ", or ".join(ways) or "give a longer text"
    return f"; the network is not yet better than the counts: {todo}"
