"""Explain an exception: the error of charrnn that ends a command for it, in one line.

All commands use this file, so it imports torch and Lightning only when they are needed.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
import traceback
from collections.abc import Mapping
from pathlib import Path

from charrnn.errors import (
    InputError,
    Interrupted,
    NodeError,
    RunError,
    UserCodeError,
    choose_write_error,
    explain_received,
    format_reason,
    is_out_of_memory,
    to_one_line,
    walk_causes,
)

Explained = InputError | RunError | Interrupted


def explain(error: BaseException) -> Explained | None:
    """Return the error to print for an exception; None for a bug in charrnn."""
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


def explain_training(
    error: Exception, targets: Mapping[str, str], folder: Path, checkpoint: Path | None
) -> Exception:
    """Return the error to raise for an error in a training; the same one for a bug in charrnn.

    Args:
        targets: the classes that the user has chosen, by their options.
        folder: the run's folder.
        checkpoint: the resumed checkpoint, if at most one step is trained since.
    """
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    cause = error.__cause__ if isinstance(error, NodeError) else error
    if isinstance(cause, InputError | RunError):
        return cause
    if cause is None or is_out_of_memory(cause):
        smaller = "try a smaller data.batch_size, data.seq_length or model.hidden_size"
        return RunError(f"there is too little memory; {smaller}")
    modules = [str(f.f_globals.get("__name__")) for f, _ in traceback.walk_tb(cause.__traceback__)]
    raised_in = modules[-1] if modules else ""
    is_callback = raised_in.startswith("lightning.pytorch.callbacks.")
    if is_callback and isinstance(cause, (MisconfigurationException, RuntimeError)):
        # For example, a monitor does not exist. Lightning's message names the existing ones.
        return InputError(f"callbacks: {to_one_line(cause, 500)}")
    is_refused = isinstance(cause, ValueError) and raised_in.startswith("lightning.")
    if isinstance(cause, MisconfigurationException) or (is_refused and checkpoint is None):
        return InputError(f"trainer: {to_one_line(cause, 500)}")
    for option, target in targets.items():
        home = _find_module(target)
        if any(module == home or target.startswith(f"{module}.") for module in modules):
            raised = to_one_line(cause, 500, with_type=True)
            return UserCodeError(f"{option}: {target} raised {raised}")
    if isinstance(cause, OSError):
        has_name = isinstance(cause.filename, (str, bytes))
        path = os.fsdecode(cause.filename) if has_name else folder
        kind = choose_write_error(cause)
        return kind(f"{path}: cannot be read or written ({format_reason(cause)})")
    if cause is not error:
        return error
    if checkpoint is not None:
        # The run could train before, so the checkpoint is the likely cause.
        reason = f"{type(error).__name__}: {to_one_line(error)}"
        return InputError(f"{checkpoint}: a run cannot resume from it ({reason})")
    return error


def _find_module(target: str) -> str:
    """Return the module that defines a class with a dotted name; "" if it is unknown."""
    with contextlib.suppress(Exception):
        return str(pkgutil.resolve_name(target).__module__)
    return ""
