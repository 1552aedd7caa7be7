"""What is refused before a run begins: data that does not fit its options or its checkpoint."""

from __future__ import annotations

from charrnn.errors import InputError, short
from charrnn.options.ranges import require
from charrnn.runs.recorded_config import Config
from charrnn.runs.spec import RunSpec
from charrnn.training import TextDataModule


def check_data(run: RunSpec, data: TextDataModule, processes: int) -> None:
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
    if run.config.model.batchnorm and batch_size * seq_length == 1:
        raise InputError(
            "model.batchnorm=true: needs more than one character in a window; give a longer text, "
            "or a larger data.batch_size or data.seq_length"
        )
    group = run.config.trainer.windows_a_step
    if group > streams.windows:
        raise InputError(
            f"trainer.accumulate_grad_batches={group}: the text has {streams.windows} window(s) "
            f"an epoch; give a longer text, or smaller data.batch_size or data.seq_length"
        )
    most, step = run.config.trainer.max_steps, run.step
    if most is not None and step > most:
        raise InputError(f"trainer.max_steps={most}: {run.checkpoint} is at step {step} already")
    if run.entry is not None:
        _check_fits(run, run.entry, data, processes)


def check_background(run: RunSpec, data: TextDataModule) -> None:
    """Refuse other texts that cannot be read, or that nothing but a record names.

    Somebody else may have made it, to have a text of yours counted into a model. A checkpoint
    holds the fingerprint of what it names, and who knows that of a text has the text.

    Raises:
        InputError: names the file or the option.
    """
    names, is_again = run.config.data.background, run.source is not None
    if is_again and run.entry is None and names and "data.background" not in run.given:
        why = f"nothing but the record of {run.source} names it; give it again, or trust=true"
        require(run.config.trust, "data.background", names, why)
    fingerprint = data.background.fingerprint
    if run.entry is not None and run.entry.get("background") != fingerprint:
        raise InputError(
            f"data.background={short(names)}: is not what {run.checkpoint} counted; bring it back "
            f"to resume"
        )


def _check_fits(run: RunSpec, entry: Config, data: TextDataModule, processes: int) -> None:
    if entry["fingerprint"] != data.encoded.fingerprint:
        raise InputError(
            f"{data.encoded.path}: the data is not what {run.checkpoint} was trained on; bring it "
            f"back to resume, or start anew from its weights with init_from={run.checkpoint}"
        )
    streams = data.streams
    before = entry["batch_size"], entry["seq_length"]
    if before != (streams.batch_size, streams.seq_length):
        raise InputError(
            f"{run.checkpoint}: was trained with data.batch_size={before[0]} "
            f"data.seq_length={before[1]}, which a resume cannot change"
        )
    ranks, dropout = len(entry["ranks"]), run.config.model.dropout
    if ranks != processes and dropout:
        raise InputError(
            f"trainer.devices: {run.checkpoint} was trained by {ranks} process(es), each with "
            f"random numbers of its own for model.dropout={dropout:g}, and cannot go on in "
            f"{processes}; start {ranks}"
        )
