"""Print the text of a run before it starts, and its results at the end."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L

from charrnn import plugins
from charrnn.data import EncodedText
from charrnn.errors import Interrupted, RunError
from charrnn.files import shorten_path
from charrnn.models.trained import WITH_COUNTS
from charrnn.runs.folder import is_run, is_sweep
from charrnn.runs.model_lookup import find_best_file
from charrnn.runs.run_values import Result, Run
from charrnn.runs.summary import Summary
from charrnn.say import format_duration, say
from charrnn.text.background import is_prose
from charrnn.text.corpora import CORPORA
from charrnn.training import LanguageModel

SMALL_TEXT = 150_000  # A text with fewer characters improves with another text.


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
    """Print the text of a new run: the default corpus, or the model from which it starts."""
    text = run.config.data.input_txt
    if text in CORPORA and run.record is None and not run.gives("data.input_txt"):
        say(f"no text was given, so the corpus is {text}; yours: charrnn train my.txt")
    if run.initial is not None:
        say(f"init_from: {shorten_path(run.config.init_from)}")


def make_result(run: Run, trainer: L.Trainer, module: LanguageModel, seconds: float) -> Result:
    """Return the result of a training."""
    best, name = module.best, run.config.optimized_metric
    loss, network_loss = (best.loss_as_written, best.loss) if best.step else (None, None)
    objective: Any = trainer.callback_metrics.get(name)
    if objective is None and best.step:  # a resume without a validation
        objective = best.losses.get(name)
    step, numbers = best.step or trainer.global_step, Summary(run.folder).numbers
    value = None if objective is None else float(objective)
    return Result(run.folder, loss, network_loss, step, numbers["seconds"] or seconds, value)


def say_result(result: Result) -> None:
    """Print the loss of the model, the training time, and the run's folder and files."""
    facts = Summary(result.folder).facts
    if result.loss is not None:
        counted = " (with its counts)" if WITH_COUNTS in facts else ""
        say(f"best validation loss {result.loss:.4f}, after step {result.step:,}{counted}")
    say(f"trained in {format_duration(result.seconds)}")
    _say_files(result.folder, facts)


def suggest_other_text(run: Run, text: EncodedText) -> None:
    """Print a command that would improve the model of a small text in prose."""
    config, paths = run.config, run.config.data.input_txt
    has_other_text = config.init_from is not None or config.data.background
    characters = sum(map(len, text.splits.values()))
    if characters >= SMALL_TEXT or has_other_text or not paths or is_sweep(run.folder.parent):
        return
    names = ",".join(map(shorten_path, [paths] if isinstance(paths, str) else paths))
    names = names if isinstance(paths, str) else f"[{names}]"
    if is_prose(text):
        command = f"charrnn train {shlex.quote(names)} data.background=FILE"
        say(f"better with another text in its language: {command}")


def say_finished(run: Run) -> Result:
    """Print that a run has already reached its end, and return its result."""
    assert run.record is not None
    home, path = run.record.folder, run.record.path
    hint = "to continue it, give a larger trainer.max_epochs or trainer.max_steps"
    shown = shorten_path(home if run.is_in_place else path)
    say(f"{shown}: this run is finished, at step {run.first_step:,}; {hint}")
    if run.is_in_place:
        _say_files(run.folder, Summary(run.folder).facts)
    if not is_run(home):  # The checkpoint was moved elsewhere.
        return Result(run.folder, None, None, run.first_step, seconds=0.0)
    numbers = Summary(home).numbers
    return Result(
        home,
        numbers["loss"],
        numbers["network_loss"],
        step=numbers["step"] or run.first_step,
        seconds=numbers["seconds"] or 0.0,
        objective=numbers["objective"],
    )


def _say_files(folder: Path, facts: dict[str, Any]) -> None:
    """Print the run's folder, the files that extras make at its end, and how to write with it."""
    path = shorten_path(folder)
    files = [module.at_end(folder) for module in plugins.import_modules(plugins.RUN_ENDS)]
    say(", with ".join([f"run folder: {path}", *(file.name for file in files if file is not None)]))
    if find_best_file(folder) is None:
        say("no model was saved")
        return
    checkpoint = f"checkpoint={shlex.quote(path)}"
    words = " mode=lines novel=true num_samples=20" if facts.get("is_list") is True else ""
    say(f"sample from it: charrnn sample {checkpoint}{words}")
    if "serve" in plugins.list_commands():
        say(f"write with it in a browser: charrnn serve {checkpoint}")
