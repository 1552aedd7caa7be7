"""What cannot be, found out before a run begins."""

from __future__ import annotations

from charrnn.errors import InputError
from charrnn.runs.begin import ResumePoint
from charrnn.runs.request import Config
from charrnn.training import TextDataModule


def check(config: Config, data: TextDataModule, start: ResumePoint, processes: int) -> None:
    """Refuse data that cannot be trained on so, or that is not what a checkpoint was trained on.

    Raises:
        InputError: names the file or the option.
    """
    streams = data.streams
    batch_size, seq_length = streams.batch_size, streams.seq_length
    if batch_size % processes:
        raise InputError(
            f"{data.encoded.path}: has text for {batch_size} stream(s) of "
            f"data.seq_length={seq_length}, which cannot be split evenly over {processes} "
            f"processes; give a longer text, or a smaller data.seq_length, or another "
            f"trainer.devices"
        )
    if config["model"]["batchnorm"] and batch_size * seq_length // processes == 1:
        raise InputError(
            "model.batchnorm=true: needs more than one character in a window; give a longer text, "
            "or a larger data.batch_size or data.seq_length"
        )
    group = config["trainer"].get("accumulate_grad_batches", 1)
    if group > streams.windows:
        raise InputError(
            f"trainer.accumulate_grad_batches={group}: the text has {streams.windows} window(s) "
            f"an epoch; give a longer text, or smaller data.batch_size or data.seq_length"
        )
    if start.entry is not None:
        _check_fits(config, data, start, processes)
    if start.step > (total := total_steps(config, streams.windows)):
        raise InputError(
            f"trainer.max_steps={total}: {start.path} is at step {start.step} already; "
            f"a resume can only go on"
        )


def total_steps(config: Config, windows: int) -> int:
    """Training steps from the run's beginning, as far as its length is given in epochs or steps."""
    trainer = config["trainer"]
    epochs, steps = trainer["max_epochs"], trainer["max_steps"]
    each = windows // trainer.get("accumulate_grad_batches", 1)
    bounds = [epochs * each if epochs is not None else None, steps]
    return min(bound for bound in bounds if bound is not None)


def _check_fits(config: Config, data: TextDataModule, start: ResumePoint, processes: int) -> None:
    entry = start.entry
    assert entry is not None
    if entry["fingerprint"] != data.encoded.fingerprint:
        raise InputError(
            f"{data.encoded.path}: the data is not what {start.path} was trained on; bring it back "
            f"to resume, or start anew from its weights with init_from={start.path}"
        )
    streams = data.streams
    if entry["sizes"] != [streams.batch_size, streams.seq_length]:
        raise InputError(
            f"{start.path}: was trained with data.batch_size={entry['sizes'][0]} "
            f"data.seq_length={entry['sizes'][1]}, which a resume cannot change"
        )
    before, draws = len(entry["ranks"]), _drawing(config["model"])
    if before != processes and draws:
        raise InputError(
            f"trainer.devices: {start.path} was trained by {before} process(es), each with random "
            f"numbers of its own for model.{draws}, and cannot go on in "
            f"{processes}; start {before}"
        )


def _drawing(model: Config) -> str:
    """The first dropout of a model's options that draws random numbers, as it is written."""
    shares = {name: value for name, value in model.items() if name.endswith("dropout")}
    del shares["locked_dropout"]
    return next((f"{name}={share:g}" for name, share in shares.items() if share), "")
