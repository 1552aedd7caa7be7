"""Print what a run trains on before it starts, and its results at the end."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

import lightning as L

from charrnn import plugins
from charrnn.data import EncodedText, find_training_data
from charrnn.files import relative_path, shorten_path
from charrnn.models.trained import WITH_COUNTS
from charrnn.options.training import DecidedOptions
from charrnn.runs import hardware
from charrnn.runs.folder import RECORDED, is_sweep, link_latest
from charrnn.runs.model_lookup import find_runs_by_age
from charrnn.runs.plan import Result, RunPlan, RunRequest
from charrnn.runs.summary import read_model_facts
from charrnn.say import format_duration, say
from charrnn.text.background import is_same_language
from charrnn.training import TextDataModule
from charrnn.training.checkpoints import MODEL

VERY_SMALL_TEXT = 2_000  # Of a text with fewer characters, a model learns only fragments.
# A text with fewer characters improves with another text. A model to start from should have been
# trained on a text that is this many times as large, and is searched in this many other texts.
SMALL_TEXT, LARGER, MOST_COMPARED = 150_000, 2, 10


def announce(plan: RunPlan, data: TextDataModule, trainer: L.Trainer, pl_module: Any) -> None:
    """Print what is trained when training starts, and link outputs/latest to the run."""
    if not trainer.is_global_zero:
        return
    steps = trainer.estimated_stepping_batches
    encoded, streams, arch = data.encoded, data.streams, pl_module.network.architecture
    sizes = {name: len(ids) for name, ids in encoded.splits.items()}
    say(f"corpus: {encoded.path}")
    say(f"  {sum(sizes.values()):,} characters, {len(data.vocabulary):,} different ones")
    say("  " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    say(
        f"model: {arch.kind}, {arch.num_layers} x {arch.hidden_size}, embedding "
        f"{arch.embedding_size}, dropout {arch.dropout:g}; "
        f"{arch.num_parameters:,} parameters"
    )
    if sum(sizes.values()) < VERY_SMALL_TEXT:
        say("  very little text, so expect fragments and copies of it; 15 kB are a good start")
    if plan.options.init_from is not None and plan.checkpoint is None:
        say(f"init_from: {shorten_path(plan.options.init_from)}")
    if (streams.batch_size, streams.seq_length) != (data.batch_size, data.seq_length):
        say(
            f"little text: data.batch_size is {streams.batch_size} and data.seq_length "
            f"{streams.seq_length} here, not {data.batch_size} and {data.seq_length}"
        )
    total = "" if steps == math.inf else f", {pl_module.format_epochs(steps)} epochs in all"
    say(
        f"streams: {streams.batch_size} x {streams.seq_length} characters a step, "
        f"{pl_module.steps_per_epoch:,} steps an epoch{total}"
    )
    if (percent := 100 * steps / pl_module.steps_per_epoch) < 100:
        share = f"{percent:.2g}" if percent < 1 else int(percent)
        say(f"  reads {share} % of the text; a larger trainer.max_steps or budget reads more")
    say(f"device: {hardware.describe(plan.options.trainer)}")
    if plan.checkpoint is not None:
        say(f"resuming from {shorten_path(plan.checkpoint)}, step {plan.first_step:,}")
    link_latest(plan.folder)


def say_default_corpus(request: RunRequest) -> None:
    """Print the default corpus if the user gives no text, and how to give one."""
    corpus = request.options.data.corpus
    if corpus is not None and request.source is None and not request.gives("data.corpus"):
        say(f"no text was given, so the corpus is {corpus}; yours: charrnn train my.txt")


def say_decisions(options: DecidedOptions, reason: str) -> None:
    """Print the sizes and the length of a run whose length the user does not set."""
    data, model, steps = options.data, options.model, options.trainer.max_steps
    say(
        f"{reason}: {model.hidden_size} units, dropout {model.dropout:g}, {steps:,} steps of "
        f"{data.batch_size} x {data.seq_length} characters"
    )


def say_result(result: Result) -> None:
    """Print the loss of the model, the training time, and the run's folder and files."""
    facts = read_model_facts(result.folder)
    if result.loss is not None:
        counted = " (with its counts)" if WITH_COUNTS in facts else ""
        say(f"best validation loss {result.loss:.4f}, after step {result.step:,}{counted}")
    say(f"trained in {format_duration(result.seconds)}")
    _say_files(result.folder, facts)


def suggest_other_texts(plan: RunPlan, text: EncodedText) -> None:
    """Print the commands that would improve the model of a small text."""
    options, paths = plan.options, plan.options.data.input_txt
    has_other_text = options.init_from is not None or options.data.background
    characters = sum(map(len, text.splits.values()))
    if characters >= SMALL_TEXT or has_other_text or not paths or is_sweep(plan.folder.parent):
        return
    names = ",".join(map(shorten_path, [paths] if isinstance(paths, str) else paths))
    names = names if isinstance(paths, str) else f"[{names}]"
    command = f"charrnn train {shlex.quote(names)}"
    say(f"another text in its language may help this small one: {command} data.background=FILE")
    if folder := _find_similar_run(text):
        base = shlex.quote(f"init_from={shorten_path(folder)}")
        say(f"or from a model that knows its language: {command} experiment=small {base}")


def _find_similar_run(text: EncodedText) -> Path | None:
    """Return the newest run on a larger text in the language of `text`; None if there is none."""
    compared = {text.fingerprint}
    for folder in find_runs_by_age():
        facts = read_model_facts(folder)
        if facts.get("fingerprint") in compared or (other := find_training_data(facts)) is None:
            continue
        compared.add(other.fingerprint)
        is_larger = len(other.splits["train"]) > LARGER * len(text.splits["train"])
        if is_larger and is_same_language(text, other):
            return folder
        if len(compared) > MOST_COMPARED:
            break
    return None


def say_finished(source: Path, folder: Path, step: int) -> None:
    """Print that the run of a folder or a checkpoint has already reached its end."""
    hint = "to continue it, give a larger trainer.max_epochs or trainer.max_steps"
    say(f"{shorten_path(source)}: this run is finished, at step {step:,}; {hint}")
    if source == folder:
        _say_files(folder, read_model_facts(folder))


def _say_files(folder: Path, facts: dict[str, Any]) -> None:
    """Print the run's folder, the files that extras make at its end, and how to sample."""
    path = shorten_path(folder)
    say(f"run folder: {path}")
    for module in plugins.import_modules("run_end"):
        if (file := module.at_end(folder)) is not None:
            say(f"{file.stem}: {shorten_path(file)}")
    if (folder / MODEL).is_file():
        lines = " mode=lines novel=true num_samples=20"
        words = lines if facts.get("is_list") is True else ""
        say(f"sample from it: charrnn sample checkpoint={shlex.quote(path)}{words}")
    else:
        say("no model was saved")


def explain_resume(folder: Path, resume_words: str) -> str:
    """Return how to resume a run that has ended early: a command with `resume_words`."""
    if not (folder / RECORDED).is_file():
        return "nothing was started" if folder.is_dir() else "the run's folder is gone"
    command = f"charrnn train resume={shlex.quote(relative_path(folder))}{resume_words}"
    if any((folder / "checkpoints").glob("*.ckpt")):
        return f"the run is saved; to resume it: {command}"
    return f"there is no checkpoint yet; to start it again: {command}"
