"""What a run will do, worked out before anything heavy is loaded: its streams and its steps."""

from __future__ import annotations

from dataclasses import dataclass

from charrnn.data import EncodedText, Streams, cut_streams, fitting_sizes
from charrnn.errors import InputError
from charrnn.options import TrainOptions
from charrnn.training.task import Start


@dataclass(frozen=True)
class Plan:
    """Attributes: streams: of all processes together; total_steps: from the run's beginning."""

    streams: Streams
    total_steps: int


def make_plan(options: TrainOptions, data: EncodedText, start: Start, processes: int) -> Plan:
    """Cut the training text for `processes` processes.

    Raises:
        InputError: it cannot be cut so, or is not what the checkpoint was trained on.
    """
    size = len(data.splits["train"])
    wanted = (options.data.batch_size, options.data.seq_length)
    try:
        batch_size, seq_length = fitting_sizes(size, *wanted)
    except ValueError:
        raise InputError(
            f"{data.path}: its training split has {size} characters, and training needs 2 or "
            f"more; give a longer text, or smaller data.val_frac and data.test_frac"
        ) from None
    if batch_size % processes:
        raise InputError(
            f"{data.path}: has text for {batch_size} stream(s) of data.seq_length={seq_length}, "
            f"which cannot be split evenly over {processes} processes; give a longer text, or a "
            f"smaller data.seq_length, or another trainer.devices"
        )
    streams = cut_streams(data, "train", batch_size, seq_length)
    _check_fits(options, data, streams, start, processes)
    trainer = options.trainer
    by_epochs = trainer.max_epochs * streams.windows if trainer.max_epochs is not None else None
    bounds = [bound for bound in (by_epochs, trainer.max_steps) if bound is not None]
    if options.model.batchnorm and batch_size * seq_length // processes == 1:
        raise InputError(
            "model.batchnorm=true: needs more than one character in a window; give a longer text, "
            "or a larger data.batch_size or data.seq_length"
        )
    if start.step > min(bounds):
        raise InputError(
            f"trainer.max_steps={min(bounds)}: {start.path} is at step {start.step} already; "
            f"a resume can only go on"
        )
    return Plan(streams, min(bounds))


def _check_fits(
    options: TrainOptions, data: EncodedText, streams: Streams, start: Start, processes: int
) -> None:
    """Refuse to go on from a checkpoint of other data, or of a run that was cut otherwise."""
    if start.content is None:
        return
    entry = start.entry
    if entry["fingerprint"] != data.fingerprint:
        raise InputError(
            f"{data.path}: the data is not what {start.path} was trained on; bring it back "
            f"to resume, or start anew from its weights with init_from={start.path}"
        )
    if entry["sizes"] != [streams.batch_size, streams.seq_length]:
        raise InputError(
            f"{start.path}: was trained with data.batch_size={entry['sizes'][0]} "
            f"data.seq_length={entry['sizes'][1]}, which a resume cannot change"
        )
    before = len(entry["ranks"])
    if before != processes and options.model.dropout:
        raise InputError(
            f"trainer.devices: {start.path} was trained by {before} process(es), each with random "
            f"numbers of its own for model.dropout={options.model.dropout:g}, and cannot go on in "
            f"{processes}; start {before}"
        )
