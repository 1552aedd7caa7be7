"""The JSON that torch-rnn writes beside a checkpoint: the losses of its training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charrnn.errors import InputError


def read_history(path: Path) -> list[tuple[int, float | None, float | None]]:
    """Read torch-rnn's checkpoint_N.json.

    It holds the loss of every step of its run, up to the step of the checkpoint: a run
    that went on from another's step count (``-reset_iterations 0``) starts above 1.

    Returns:
        A row (step, training loss, validation loss) for each step that has one of them,
        in order; None for the other. Losses are in nats per character.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    try:
        content = json.loads(path.read_bytes())
        train = _numbers(content["train_loss_history"])
        val = _numbers(content["val_loss_history"])
        val_steps = [int(step) for step in _numbers(content["val_loss_history_it"])]
        if len(val) != len(val_steps):
            raise ValueError("val_loss_history and val_loss_history_it differ in length")
        # older versions did not write i
        last = content.get("i", val_steps[-1] if val_steps else len(train))
        (last,) = _numbers([last])
        first = int(last) - len(train) + 1
        if first < 1:
            raise ValueError("train_loss_history is longer than the run")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: not the JSON that torch-rnn writes beside a checkpoint ({what})"
        ) from None
    by_step = dict(enumerate(train, start=first))
    by_val_step = dict(zip(val_steps, val, strict=True))
    steps = sorted(by_step.keys() | by_val_step.keys())
    return [(step, by_step.get(step), by_val_step.get(step)) for step in steps]


def _numbers(values: Any) -> list[float]:
    if values == {}:  # how Lua's JSON writes an empty list
        return []
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        raise ValueError("a history is not a list of numbers")
    return [float(v) for v in values]
