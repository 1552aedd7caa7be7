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

from charrnn.errors import (
    InputError,
    RunError,
    UserCodeError,
    WriteError,
    is_out_of_memory,
    to_one_line,
)
from charrnn.files import shorten_path

PACKAGE = Path(__file__).resolve().parents[1]
# Hydra requires that its plugins are next to the package.
CHARRNN = (PACKAGE, PACKAGE.parent / "hydra_plugins")
PYTHON = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))

# The packages that run the user's code, and whose classes the default config names
LIBRARIES = {"charrnn", "lightning", "torch"}

TOO_LITTLE_MEMORY = (
    "there is too little memory; try a smaller data.batch_size, data.seq_length or "
    "model.hidden_size"
)


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


def explain(
    error: Exception, folder: Path, checkpoint: Path | None, targets: Iterable[str]
) -> Exception:
    """Return the error to raise for an error of a library or of the user's code in training.

    `checkpoint` is the resumed checkpoint, if at most one step is trained since.
    """
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    if isinstance(error, (InputError, RunError)):
        return error
    if is_out_of_memory(error):
        return RunError(TOO_LITTLE_MEMORY)
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
        reason = error.strerror or to_one_line(error)
        return WriteError(f"{path}: cannot be read or written ({reason})")
    if checkpoint is not None:
        # The run could train before, so the checkpoint is the likely cause.
        reason = f"{type(error).__name__}: {to_one_line(error)}"
        return InputError(f"{checkpoint}: a run cannot resume from it ({reason})")
    return error


def explain_user_code(error: BaseException, targets: Iterable[str] = ()) -> UserCodeError | None:
    """Return the error to raise for an error of the user's code; None if it is not theirs.

    A user's callback, loss or optimizer runs between frames of Lightning, torch and Hydra. The
    innermost frame that belongs neither to Python nor to another installed package decides.

    Args:
        targets: dotted names of classes in the config; their packages are the user's, too.
    """
    packages = {target.partition(".")[0] for target in targets} - LIBRARIES
    stack = traceback.extract_tb(error.__traceback__)
    frames = [f for f in stack if _is_charrnn(f.filename) or _is_users(f.filename, packages)]
    if not frames or _is_charrnn(frames[-1].filename):
        return None
    user_frames = [frame for frame in frames if not _is_charrnn(frame.filename)]
    head = "Traceback (without the lines of charrnn and of libraries):\n"
    lines = "".join([head, *traceback.format_list(user_frames)])
    place = f"{shorten_path(frames[-1].filename)}:{frames[-1].lineno}"
    cause = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    package = _get_package(frames[-1].filename)
    owner = f"the package {package}" if package else "your own code"
    return UserCodeError(f"{place}: {cause} (in {owner}, not in charrnn)", lines)


def _is_charrnn(filename: str) -> bool:
    return any(Path(filename).resolve().is_relative_to(folder) for folder in CHARRNN)


def _get_package(filename: str) -> str | None:
    """Return the name of the installed package to which a file belongs."""
    parts = Path(filename).resolve().parts
    names = (b for a, b in pairwise(parts) if a in ("site-packages", "dist-packages"))
    return next((name.removesuffix(".py") for name in names), None)


def _is_users(filename: str, packages: set[str]) -> bool:
    """Return whether a file is neither generated, nor of Python, nor of another package."""
    if package := _get_package(filename):
        return package in packages
    path = Path(filename).resolve()
    return not filename.startswith("<") and not any(map(path.is_relative_to, PYTHON))
