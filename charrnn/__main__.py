"""The front door: ``charrnn COMMAND OVERRIDES``, or ``python -m charrnn COMMAND OVERRIDES``.

Help and mistakes in the first word are answered here, without importing anything that
takes time; the rest is for `charrnn.cli.front`.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from charrnn import plugins
from charrnn.cli import exit_codes
from charrnn.errors import STOP_SIGNALS, InputError, terminate
from charrnn.say import get_terminal_width, ignore_write_errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: the words after the program's name; those of this process by default.
    """
    label = "charrnn"
    if arguments is None:
        # torch and Lightning make 600,000 objects that stay, and looking through them again and
        # again takes a fifth of the time of their import; `charrnn.cli.front` turns it on again
        gc.disable()
    try:
        with _stopping_raises():
            _open_standard_streams()
            words = list(sys.argv[1:] if arguments is None else arguments)
            if (text := _printed(words)) is not None:
                print(text)
                code = 0
            else:
                command = plugins.get_command(words[0])
                label = f"charrnn {command.name}"
                from charrnn.cli import front

                code = front.main(command, words[1:], _sweep)
    except BaseException as error:
        code = exit_codes.end(label, error)
    if arguments is None and "torch" not in sys.modules:
        # the end of a short process takes 80 ms less without freeing its objects one by one;
        # torch's libraries complain about objects that are not freed
        gc.freeze()
    return exit_codes.flush(label, code)


def _open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed: else the next file takes its place."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = ignore_write_errors(sys.stderr)


def _printed(words: list[str]) -> str | None:
    """What is printed where no command runs: help, or the version."""
    first, *rest = words or ["--help"]
    if "--version" in words[:2]:
        from charrnn import __version__

        return f"charrnn {__version__}"
    is_help = {"-h", "--help", "--help=all"} & {*rest}
    if first in ("-h", "--help") or is_help:
        from charrnn.cli import help

        if not is_help:
            return help.format_overview()
        return help.format_help(
            plugins.get_command(first).name, "--help=all" in rest, get_terminal_width(sys.stdout)
        )
    if first.startswith("-") or "=" in first:
        raise InputError(f"{first}: the command comes first: charrnn COMMAND {first}")
    return None


@contextlib.contextmanager
def _stopping_raises() -> Iterator[None]:
    """Until a command installs handlers of its own, let the stopping signals unwind the stack.

    One that is handled already stays so: Ctrl-C by Python, SIGHUP under nohup.
    """
    taken = [s for s in STOP_SIGNALS if signal.getsignal(s) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        taken = []  # signals are not ours
    for signum in taken:
        signal.signal(signum, terminate)
    try:
        yield
    finally:
        for signum in taken:
            signal.signal(signum, signal.SIG_DFL)


def _sweep(line: Any) -> None:
    from charrnn.cli import sweep

    sweep.run(line)


if __name__ == "__main__":
    sys.exit(main())
