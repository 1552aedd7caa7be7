"""Run ``charrnn COMMAND OVERRIDES``, or ``python -m charrnn COMMAND OVERRIDES``.

This file prints the help and checks the first word without slow imports.
"""

from __future__ import annotations

import gc
import io
import signal
import sys
from collections.abc import Sequence

from charrnn import plugins
from charrnn.cli import exit_codes
from charrnn.errors import STOP_SIGNALS, InputError, RunError, terminate
from charrnn.runs import ranks
from charrnn.say import FaultTolerantStream


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, and return its exit code.

    Args:
        arguments: the words after the program's name; by default sys.argv[1:].
    """
    label = "charrnn"
    if arguments is None:
        _prepare_process()
        ranks.typed_words[:] = sys.argv[1:]
    try:
        if sys.stdout is None or sys.stderr is None:
            raise RunError("standard output or standard error is closed; redirect it to /dev/null")
        words = list(sys.argv[1:] if arguments is None else arguments)
        if (text := _format_output(words)) is not None:
            print(text)
        else:
            command = plugins.get_command(words[0])
            label = f"charrnn {command.name}"
            from charrnn.cli import front

            front.run(command, words[1:])
        code = 0
    except BaseException as error:
        code = exit_codes.end(label, error)
    if arguments is None and "torch" not in sys.modules:
        # A short process ends 80 ms sooner if it does not free its objects. torch's libraries
        # print warnings about objects that are not freed.
        gc.freeze()
    return exit_codes.flush(label, code)


def _prepare_process() -> None:
    """Prepare the streams, the signals and the garbage collection of the process of one command."""
    # Importing torch and Lightning creates 600,000 objects. Garbage collection would take a fifth
    # of the import time. `charrnn.cli.front` turns it on again.
    gc.disable()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is not None:
        sys.stderr = FaultTolerantStream(sys.stderr)
    for signum in STOP_SIGNALS:  # until the command installs its handlers
        # Other handlers stay, such as nohup's for SIGHUP.
        if signal.getsignal(signum) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(signum, terminate)


def _format_output(words: list[str]) -> str | None:
    """Return the help or the version, or None if the words run a command."""
    first, *rest = words or ["--help"]
    if "--version" in words[:2]:
        from charrnn import __version__

        return f"charrnn {__version__}"
    is_help = bool({"-h", "--help"} & {*rest})
    if first in ("-h", "--help") or is_help:
        from charrnn.cli import help_page

        if not is_help:
            return help_page.format_overview()
        return help_page.format_help(first)
    if first.startswith("-") or "=" in first:
        raise InputError(f"{first}: put the command first: charrnn COMMAND {first}")
    return None


if __name__ == "__main__":
    sys.exit(main())
