"""`python -m tests.imported WORDS`: run a command, and print the libraries that it imports.

A training ends at its first step, before the loss is computed.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import FrameType


def end_at_first_step(frame: FrameType, event: str, argument: object) -> None:
    if frame.f_code.co_name == "training_step":
        stop(0)


def stop(code: int) -> None:
    """Print the libraries, and end the process."""
    assert gc.isenabled()
    print(*(name for name in sys.modules if "." not in name), file=sys.stderr)
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.settrace(end_at_first_step)
    threading.settrace(end_at_first_step)
    from charrnn.__main__ import main

    stop(main(sys.argv[1:]))
