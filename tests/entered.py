"""`python -m tests.entered WORDS`: run a command, and print the files of charrnn that it enters.

A file is entered when a function or the body of a class of it runs. A training ends at its first
step, before the loss is computed.
"""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType

from tests import REPOSITORY

PACKAGE = f"{REPOSITORY / 'charrnn'}/"
FILES: set[str] = set()


def enter(frame: FrameType, event: str, argument: object) -> None:
    """See that a function or the body of a class or a module begins."""
    code = frame.f_code
    if code.co_filename.startswith(PACKAGE) and code.co_name[0] != "<":  # "<module>", "<lambda>"
        FILES.add(code.co_filename.removeprefix(f"{REPOSITORY}/"))
        if code.co_name == "training_step":
            stop(0)


def stop(code: int) -> None:
    print(*sorted(FILES), *sorted({"torch", "lightning", "numba"} & sys.modules.keys()),
          sep="\n", file=sys.stderr)  # fmt: skip
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.settrace(enter)
    threading.settrace(enter)
    from charrnn.__main__ import main

    stop(main(sys.argv[1:]))
