"""What a run says of itself before it trains, and when it has."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L

from charrnn import plugins
from charrnn.data import EncodedText
from charrnn.errors import Interrupted, RunError
from charrnn.files import relative_path, shorten_path
from charrnn.models.trained import LOSS_WITH_COUNTS, find_loss
from charrnn.networks.network import count_parameters
from charrnn.options.training import DecidedOptions
from charrnn.runs import hardware
from charrnn.runs.folder import RECORDED, is_sweep, link_latest
from charrnn.runs.model_lookup import find_runs_by_age
from charrnn.runs.plan import Result, RunPlan, RunRequest
from charrnn.runs.summary import read_model_facts, summarize_run
from charrnn.say import format_duration, say
from charrnn.training import TextDataModule
from charrnn.training.checkpoints import MODEL

# characters of a text that another one helps; and how much larger one is to begin from
SMALL_TEXT, LARGER = 150_000, 2


class Announcement(L.Callback):
    """Says what is trained as soon as nothing is refused any more, and links outputs/latest."""

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Corpus, model, streams, device, and what it goes on from."""
        if not trainer.is_global_zero:
            return
        plan, steps = self.plan, trainer.estimated_stepping_batches
        data: TextDataModule = getattr(trainer, "datamodule")  # noqa: B009
        encoded, streams, m = data.encoded, data.streams, pl_module.network.architecture
        sizes = {name: len(ids) for name, ids in encoded.splits.items()}
        say(f"corpus: {encoded.path}")
        say(f"  {sum(sizes.values()):,} characters, {len(data.vocabulary):,} different ones")
        say("  " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
        say(
            f"model: {m.kind}, {m.num_layers} x {m.hidden_size}, embedding {m.embedding_size}, "
            f"dropout {m.dropout:g}; {count_parameters(pl_module.network):,} parameters"
        )
        if plan.options.init_from is not None and plan.checkpoint is None:
            say(f"init_from: {shorten_path(plan.options.init_from)}")
        if (streams.batch_size, streams.seq_length) != (data.batch_size, data.seq_length):
            say(
                f"little text: data.batch_size is {streams.batch_size} and data.seq_length "
                f"{streams.seq_length} here, not {data.batch_size} and {data.seq_length}"
            )
        in_all = "" if steps == math.inf else f", {pl_module.format_epochs(steps)} epochs in all"
        say(
            f"streams: {streams.batch_size} x {streams.seq_length} characters a step, "
            f"{pl_module.steps_per_epoch:,} steps an epoch{in_all}"
        )
        say(f"device: {hardware.describe(plan.options.trainer)}")
        if plan.checkpoint is not None:
            say(f"going on from {shorten_path(plan.checkpoint)}, step {plan.first_step:,}")
        link_latest(plan.folder)


def say_default_corpus(request: RunRequest) -> None:
    """Say which text a run gets that is given none, and how to give one."""
    corpus = request.options.data.corpus
    if corpus is not None and request.source is None and not request.gives("data", "data.corpus"):
        say(f"no text was given, so the corpus is {corpus}; yours: charrnn train my.txt")


def say_decisions(options: DecidedOptions, reason: str) -> None:
    """Say the sizes and the length of a run whose length the user leaves open."""
    data, model, steps = options.data, options.model, options.trainer.max_steps
    say(
        f"{reason}: {model.hidden_size} units, dropout {model.dropout:g}, {steps:,} steps of "
        f"{data.batch_size} x {data.seq_length} characters"
    )


def say_end(result: Result) -> None:
    """Say the loss of the model as it writes, the time of its steps, the folder and its files."""
    numbers = summarize_run(result.folder).numbers
    facts = read_model_facts(result.folder)
    if (loss := find_loss(facts)) is not None:
        counted = " (with its counts)" if LOSS_WITH_COUNTS in facts else ""
        say(f"best validation loss {loss:.4f}, after step {result.step:,}{counted}")
    say(f"trained in {format_duration(numbers['seconds'] or result.seconds)}")
    _say_where(result.folder)


def say_what_helps(plan: RunPlan, text: EncodedText) -> None:
    """Say what would help a training of a small text, with the command."""
    options, texts = plan.options, plan.options.data.input_txt
    is_helped = options.init_from is not None or options.data.background
    characters = sum(map(len, text.splits.values()))
    if characters >= SMALL_TEXT or is_helped or not texts or is_sweep(plan.folder.parent):
        return
    given = (
        f"[{','.join(map(shorten_path, texts))}]"
        if isinstance(texts, list)
        else shorten_path(texts)
    )
    command = f"charrnn train {shlex.quote(given)}"
    say(f"so small a text gains by another of its language: {command} data.background=FILE")
    for folder in find_runs_by_age():
        path = str(read_model_facts(folder).get("input_h5"))
        with contextlib.suppress(OSError):
            if os.path.getsize(path) > LARGER * os.path.getsize(text.path):
                base = shlex.quote(f"init_from={shorten_path(folder)}")
                name = Path(path).stem
                say(f"or, if {name} is of its language: {command} experiment=small {base}")
                break


def say_finished(source: Path, folder: Path, step: int) -> None:
    """Say that the run of a folder or a checkpoint has nothing left to do."""
    longer = "with a larger trainer.max_epochs or trainer.max_steps it goes on"
    say(f"{shorten_path(source)}: this run is finished, at step {step:,}; {longer}")
    if source == folder:
        _say_where(folder)


def _say_where(folder: Path) -> None:
    """Say where the run lies, and the files that extras make of a run which has ended."""
    path = shorten_path(folder)
    say(f"run folder: {path}")
    for part in plugins.import_modules("run_end"):
        if (file := part.at_end(folder)) is not None:
            say(f"{file.stem}: {shorten_path(file)}")
    if (folder / MODEL).is_file():
        say(f"sample from it: charrnn sample checkpoint={shlex.quote(path)}")
    else:
        say("no model was saved")


@contextlib.contextmanager
def tell_how_to_resume(folder: Path, resume_words: str) -> Iterator[None]:
    """Add the command that resumes a run to an error that ends it.

    Args:
        resume_words: what the command needs besides.
    """
    try:
        yield
    except (Interrupted, RunError) as error:
        error.args = (f"{error}; {how_to_resume(folder, resume_words)}",)
        raise


def how_to_resume(folder: Path, resume_words: str) -> str:
    """Return what the user can do with a run that has ended early."""
    if not (folder / RECORDED).is_file():
        return "nothing was begun" if folder.is_dir() else "the run's folder is gone"
    command = f"charrnn train resume={shlex.quote(relative_path(folder))}{resume_words}"
    if any((folder / "checkpoints").glob("*.ckpt")):
        return f"the run is saved: {command} goes on"
    return f"there is no checkpoint yet: {command} starts it again"
