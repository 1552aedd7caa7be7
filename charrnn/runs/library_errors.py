"""Turn the errors of libraries and of the user's code into one-line messages.

All commands use this module, so it imports torch and Lightning only when they are needed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.errors import (
    InputError,
    RunError,
    UserCodeError,
    WriteError,
    format_reason,
    is_out_of_memory,
    to_one_line,
)
from charrnn.files import shorten_path

if TYPE_CHECKING:
    import lightning as L

    from charrnn.runs.run import Run
    from charrnn.runs.world import World

PACKAGE = Path(__file__).resolve().parents[1]
# Hydra requires that its plugins are next to the package.
CHARRNN = (PACKAGE, PACKAGE.parent / "hydra_plugins")
PYTHON = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
OURS = "charrnn"

# The packages that run the user's code, and whose classes the default config names
LIBRARIES = {"charrnn", "lightning", "torch"}


@contextlib.contextmanager
def silence_libraries() -> Iterator[None]:
    """Hide the messages and warnings of Lightning and TensorBoard."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels, hook = [logger.level for logger in loggers], threading.excepthook

    def ignore_write_errors(failure: threading.ExceptHookArgs) -> None:
        # If a thread cannot write, such as TensorBoard's, the run itself fails with a message.
        if not isinstance(failure.exc_value, OSError):
            hook(failure)

    threading.excepthook = ignore_write_errors
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # print profiles
    try:
        with warnings.catch_warnings():
            for pattern in (r"lightning(\.|$)", r"torch\.utils\.tensorboard"):
                warnings.filterwarnings("ignore", module=pattern)
            message = ".*isinstance\\(treespec, LeafSpec\\).*"
            warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        threading.excepthook = hook
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def explain_errors(run: Run, world: World) -> Iterator[list[L.Trainer]]:
    """Raise the error that explains an error of a library or of the user's code in training.

    Yield a list, to which the trainer is appended once it exists.
    """
    from charrnn.runs import processes

    trainers: list[L.Trainer] = []
    try:
        yield trainers
        if world.size > 1:  # not after a failure, because it may wait for a failed rank
            processes.leave_group()
    except Exception as error:
        if world.size > 1 and (lost := processes.to_lost_process(error)):
            raise lost from error
        # The first step uses the rest of a checkpoint, such as its counters.
        has_trained = any(t.global_step > run.first_step + 1 for t in trainers)
        checkpoint = None if has_trained else run.checkpoint
        explanation = _explain(error, run.folder, checkpoint, processes.find_code(run.config))
        if explanation is error:
            raise
        raise explanation from error


def _explain(
    error: Exception, folder: Path, checkpoint: Path | None, targets: Iterable[str]
) -> Exception:
    """Return the error to raise for an error in training.

    `checkpoint` is the resumed checkpoint, if at most one step is trained since.
    """
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    if isinstance(error, (InputError, RunError)):
        return error
    if is_out_of_memory(error):
        smaller = "try a smaller data.batch_size, data.seq_length or model.hidden_size"
        return RunError(f"there is too little memory; {smaller}")
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    is_callback = str(frame.f_globals.get("__name__")).startswith("lightning.pytorch.callbacks.")
    if is_callback and isinstance(error, (MisconfigurationException, RuntimeError)):
        # For example, a monitor does not exist. Lightning's message names the existing ones.
        return InputError(f"callbacks: {to_one_line(error, 500)}")
    if isinstance(error, MisconfigurationException):
        return InputError(f"trainer: {to_one_line(error, 500)}")
    if user_error := explain_user_code(error, targets):
        return user_error
    if isinstance(error, OSError):
        has_name = isinstance(error.filename, (str, bytes))
        path = os.fsdecode(error.filename) if has_name else folder
        return WriteError(f"{path}: cannot be read or written ({format_reason(error)})")
    if checkpoint is not None:
        # The run could train before, so the checkpoint is the likely cause.
        reason = f"{type(error).__name__}: {to_one_line(error)}"
        return InputError(f"{checkpoint}: a run cannot resume from it ({reason})")
    return error


def explain_user_code(error: BaseException, targets: Iterable[str] = ()) -> UserCodeError | None:
    """Return the error to raise for an error of the user's code; None if it is not theirs.

    A user's callback, loss or optimizer runs between frames of Lightning, torch and Hydra. The
    innermost frame that belongs neither to Python nor to another installed package decides. The
    packages of `targets`, the dotted names of classes in the config, are the user's, too.
    """
    packages = {target.partition(".")[0] for target in targets} - LIBRARIES
    stack = traceback.extract_tb(error.__traceback__)
    owned = [(f, owner) for f in stack if (owner := _find_owner(f.filename, packages)) is not None]
    if not owned or owned[-1][1] == OURS:
        return None
    head = "Traceback (without the lines of charrnn and of libraries):\n"
    user_frames = [frame for frame, owner in owned if owner != OURS]
    lines = "".join([head, *traceback.format_list(user_frames)])
    frame, owner = owned[-1]
    place = f"{shorten_path(frame.filename)}:{frame.lineno}"
    cause = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    return UserCodeError(f"{place}: {cause} (in {owner}, not in charrnn)", lines)


def _find_owner(filename: str, packages: set[str]) -> str | None:
    """Return whose code a file contains; None for Python's and for other packages than these."""
    path = Path(filename).resolve()
    if any(map(path.is_relative_to, CHARRNN)):
        return OURS
    names = (b for a, b in pairwise(path.parts) if a in ("site-packages", "dist-packages"))
    if package := next((name.removesuffix(".py") for name in names), None):
        return f"the package {package}" if package in packages else None
    is_python = filename.startswith("<") or any(map(path.is_relative_to, PYTHON))
    return None if is_python else "your own code"
