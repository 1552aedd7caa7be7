"""Explain an exception: the error of charrnn that ends a command for it, in one line.

All commands use this file, so it imports torch and Lightning only when they are needed.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from charrnn.errors import (
    InputError,
    Interrupted,
    RunError,
    choose_write_error,
    explain_received,
    format_reason,
    is_out_of_memory,
    to_one_line,
    walk_causes,
)

Explained = InputError | RunError | Interrupted


def explain(error: BaseException) -> Explained | None:
    """Return the error to print for an exception; None for a bug."""
    if isinstance(error, RunError):
        return error
    # A library that a signal interrupts can raise another error in its clean-up.
    for cause in walk_causes(error):
        if isinstance(cause, KeyboardInterrupt):
            return Interrupted("interrupted")
        if isinstance(cause, Interrupted):
            return cause
    if received := explain_received():
        return received
    if isinstance(error, InputError):
        return error
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        kind = choose_write_error(error)
        return kind(f"{name}: {error.strerror}" if name else error.strerror)
    return RunError("there is too little memory") if is_out_of_memory(error) else None


def explain_training(error: Exception, folder: Path, checkpoint: Path | None) -> Exception:
    """Return the error to raise for an error in a training; the same one for a bug.

    Args:
        folder: the run's folder.
        checkpoint: the resumed checkpoint, if at most one step is trained since.
    """
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    if isinstance(error, InputError | RunError):
        return error
    if is_out_of_memory(error):
        smaller = "try a smaller data.batch_size, data.seq_length or model.hidden_size"
        return RunError(f"there is too little memory; {smaller}")
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    raised_in = str(frame.f_globals.get("__name__"))
    is_callback = raised_in.startswith("lightning.pytorch.callbacks.")
    if is_callback and isinstance(error, (MisconfigurationException, RuntimeError)):
        # For example, a monitor does not exist. Lightning's message names the existing ones.
        return InputError(f"callbacks: {to_one_line(error, 500)}")
    is_refused = isinstance(error, ValueError) and raised_in.startswith("lightning.")
    if isinstance(error, MisconfigurationException) or (is_refused and checkpoint is None):
        return InputError(f"trainer: {to_one_line(error, 500)}")
    if isinstance(error, OSError):
        has_name = isinstance(error.filename, (str, bytes))
        path = os.fsdecode(error.filename) if has_name else folder
        kind = choose_write_error(error)
        return kind(f"{path}: cannot be read or written ({format_reason(error)})")
    if checkpoint is not None:
        # The run could train before, so the checkpoint is the likely cause.
        reason = f"{type(error).__name__}: {to_one_line(error)}"
        return InputError(f"{checkpoint}: a run cannot resume from it ({reason})")
    return error
