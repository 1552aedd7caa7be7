"""Explain what a library or the user's own code says and raises in a line that helps the user.

Every command explains its failures here, so torch and Lightning are imported only where needed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from charrnn.errors import InputError, RunError, UserCodeError, to_one_line
from charrnn.files import shorten_path

PACKAGE = Path(__file__).resolve().parents[1]
# Hydra finds its plugins beside the package
CHARRNN = (PACKAGE, PACKAGE.parent / "hydra_plugins")
PYTHON = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))

TOO_LITTLE_MEMORY = (
    "there is too little memory; try a smaller data.batch_size, data.seq_length or "
    "model.hidden_size"
)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep off what Lightning and TensorBoard remark: what a person needs to know, we say."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels, hook = [logger.level for logger in loggers], threading.excepthook

    def without_writers(failed: threading.ExceptHookArgs) -> None:
        # a thread that cannot write, such as TensorBoard's, ends the run, which says so in its line
        if not isinstance(failed.exc_value, OSError):
            hook(failed)

    threading.excepthook = without_writers
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    # a profile was asked for
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
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


def explain(error: Exception, folder: Path, checkpoint: Path | None) -> Exception:
    """Return the error to raise for an error of a library or of the user's code in a training.

    Args:
        folder: of the run.
        checkpoint: from which the run went on, if it has not trained a step since.
    """
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    if isinstance(error, (InputError, RunError)):
        return error
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if str(frame.f_globals.get("__name__")).startswith("lightning.pytorch.callbacks."):
        # a monitor that there is not, for one: the text names those that there are
        return InputError(f"callbacks: {to_one_line(error, 500)}")
    if isinstance(error, MisconfigurationException):
        return InputError(f"trainer: {to_one_line(error, 500)}")
    if is_out_of_memory(error):
        return RunError(TOO_LITTLE_MEMORY)
    if own := explain_own_code(error):
        return own
    if isinstance(error, OSError):
        named = isinstance(error.filename, (str, bytes))
        where = os.fsdecode(error.filename) if named else folder
        return RunError(
            f"{where}: cannot be read or written ({error.strerror or to_one_line(error)})"
        )
    if checkpoint is not None:
        # the checkpoint is what differs from the run that wrote it
        what = f"{type(error).__name__}: {to_one_line(error)}"
        return InputError(f"{checkpoint}: a run cannot go on from it ({what})")
    return error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether torch or the system had too little memory.

    torch has an error of its own for a GPU's memory, and only a text for other memory.
    """
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def explain_own_code(error: BaseException) -> UserCodeError | None:
    """Return the error to raise for an error of the user's code; None if charrnn raised it.

    A user's callback, loss or optimizer runs between frames of Lightning, torch and Hydra. The
    innermost frame that is neither Python's nor an installed package's decides.
    """
    frames = traceback.extract_tb(error.__traceback__)
    deciding = [f for f in frames if _is_charrnn(f.filename) or not _is_installed(f.filename)]
    if not deciding or _is_charrnn(deciding[-1].filename):
        return None
    own = [frame for frame in deciding if not _is_charrnn(frame.filename)]
    head = "Traceback (only what is not charrnn's or a library's):\n"
    lines = "".join([head, *traceback.format_list(own)])
    where = shorten_path(own[-1].filename)
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    return UserCodeError(
        f"{where}:{own[-1].lineno}: {what} (in your own code, not in charrnn)", lines
    )


def _is_charrnn(filename: str) -> bool:
    return any(Path(filename).resolve().is_relative_to(folder) for folder in CHARRNN)


def _is_installed(filename: str) -> bool:
    """Whether a file is Python's, of an installed package, or was made at run time."""
    path = Path(filename).resolve()
    return (
        filename.startswith("<")
        or bool({"site-packages", "dist-packages"} & {*path.parts})
        or any(path.is_relative_to(folder) for folder in PYTHON)
    )
