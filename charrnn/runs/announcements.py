"""What a run says of itself before it trains, and when it has."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L

from charrnn.files import relative_path, short_path
from charrnn.models.trained import LOSS_WITH_COUNTS, loss_of
from charrnn.networks.network import num_parameters
from charrnn.runs import hardware
from charrnn.runs.folder import RECORDED, is_sweep, link_latest, unmake
from charrnn.runs.model_lookup import runs_by_age
from charrnn.runs.spec import Result, RunSpec
from charrnn.runs.summary import read_model_facts, summarize_run
from charrnn.say import duration, say
from charrnn.training import TextDataModule
from charrnn.training.checkpoints import MODEL

# characters of a text that another one helps; and how much larger one is to begin from
SMALL_TEXT, LARGER = 150_000, 2


class Announcement(L.Callback):
    """Says what is trained as soon as nothing is refused any more, and links outputs/latest."""

    def __init__(self, run: RunSpec) -> None:
        self.run = run

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Corpus, model, streams, device, and what it goes on from."""
        if not trainer.is_global_zero:
            return
        run, steps = self.run, trainer.estimated_stepping_batches
        data: TextDataModule = getattr(trainer, "datamodule")  # noqa: B009
        encoded, streams, m = data.encoded, data.streams, pl_module.network.architecture
        sizes = {name: len(ids) for name, ids in encoded.splits.items()}
        say(f"corpus: {encoded.path}")
        say(f"  {sum(sizes.values()):,} characters, {len(data.vocabulary):,} different ones")
        say("  " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
        say(
            f"model: {m.kind}, {m.num_layers} x {m.hidden_size}, embedding {m.embedding_size}, "
            f"dropout {m.dropout:g}; {num_parameters(pl_module.network):,} parameters"
        )
        if run.config.init_from is not None and run.checkpoint is None:
            say(f"init_from: {short_path(run.config.init_from)}")
        if (streams.batch_size, streams.seq_length) != (data.batch_size, data.seq_length):
            say(
                f"little text: data.batch_size is {streams.batch_size} and data.seq_length "
                f"{streams.seq_length} here, not {data.batch_size} and {data.seq_length}"
            )
        in_all = "" if steps == math.inf else f", {pl_module.epochs(steps)} epochs in all"
        say(
            f"streams: {streams.batch_size} x {streams.seq_length} characters a step, "
            f"{pl_module.steps_per_epoch:,} steps an epoch{in_all}"
        )
        say(f"device: {hardware.describe(run.config.trainer)}")
        if run.checkpoint is not None:
            say(f"going on from {short_path(run.checkpoint)}, step {run.step:,}")
        link_latest(run.folder)


def say_default_corpus(run: RunSpec) -> None:
    """That nobody said what to train on, and how to."""
    corpus = run.config.data.corpus
    if corpus is not None and run.source is None and not {"data", "data.corpus"} & {*run.given}:
        say(f"no text was given, so the corpus is {corpus}; yours: charrnn train my.txt")


def say_end(run: RunSpec, result: Result, files: Sequence[Path] = ()) -> None:
    """The loss of the model as it writes, the time of its steps, where the run lies, its files."""
    facts = read_model_facts(run.folder)
    if (loss := loss_of(facts)) is not None:
        counted = " (with its counts)" if LOSS_WITH_COUNTS in facts else ""
        say(f"best validation loss {loss:.4f}, after step {result.step:,}{counted}")
    say(f"trained in {duration(summarize_run(run.folder).numbers['seconds'] or result.seconds)}")
    _say_where(result.folder, files)


def say_what_helps(run: RunSpec, data: TextDataModule) -> None:
    """What would help a training of a small text, with the command."""
    config, texts = run.config, run.config.data.input_txt
    helped = config.init_from is not None or config.data.background
    characters = sum(map(len, data.encoded.splits.values()))
    if characters >= SMALL_TEXT or helped or not texts or is_sweep(run.folder.parent):
        return
    given = (
        f"[{','.join(map(short_path, texts))}]" if isinstance(texts, list) else short_path(texts)
    )
    command = f"charrnn train {shlex.quote(given)}"
    say(f"so small a text gains by another of its language: {command} data.background=FILE")
    for folder in runs_by_age():
        path = str(read_model_facts(folder).get("input_h5"))
        with contextlib.suppress(OSError):
            if os.path.getsize(path) > LARGER * os.path.getsize(data.encoded.path):
                base = shlex.quote(f"init_from={short_path(folder)}")
                text = Path(path).stem
                say(f"or, if {text} is of its language: {command} experiment=small {base}")
                break


def say_finished(run: RunSpec, files: Sequence[Path] = ()) -> None:
    """There is nothing left to do."""
    longer = "with a larger trainer.max_epochs or trainer.max_steps it goes on"
    where = short_path(run.source or run.folder)
    say(f"{where}: this run is finished, at step {run.step:,}; {longer}")
    if run.source == run.folder:
        _say_where(run.folder, files)
    else:
        unmake(run.folder)


def _say_where(folder: Path, files: Sequence[Path]) -> None:
    path = short_path(folder)
    say(f"run folder: {path}")
    for file in files:
        say(f"{file.stem}: {short_path(file)}")
    if (folder / MODEL).is_file():
        say(f"sample from it: charrnn sample checkpoint={shlex.quote(path)}")
    else:
        say("no model was saved")


def how_to_resume(run: RunSpec) -> str:
    """What goes on with a stopped run."""
    if not (run.folder / RECORDED).is_file():
        return "nothing was begun" if run.folder.is_dir() else "the run's folder is gone"
    command = f"charrnn train resume={shlex.quote(relative_path(run.folder))}{run.resume_options}"
    if any((run.folder / "checkpoints").glob("*.ckpt")):
        return f"the run is saved: {command} goes on"
    return f"there is no checkpoint yet: {command} starts it again"
