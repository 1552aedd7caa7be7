"""Run ``charrnn COMMAND OVERRIDES``, or ``python -m charrnn COMMAND OVERRIDES``.

This file prints the help and checks the first word without slow imports.
"""

from __future__ import annotations

import contextlib
import gc
import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from charrnn import plugins
from charrnn.cli import exit_codes
from charrnn.errors import STOP_SIGNALS, InputError, received_signals, terminate
from charrnn.runs import ranks
from charrnn.say import get_terminal_width, ignore_write_errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, and return its exit code.

    Args:
        arguments: the words after the program's name; by default sys.argv[1:].
    """
    label = "charrnn"
    if arguments is None:
        # Importing torch and Lightning creates 600,000 objects. Garbage collection would take a
        # fifth of the import time. `charrnn.cli.front` turns it on again.
        gc.disable()
        ranks.typed_words[:] = sys.argv[1:]
    try:
        with _raise_on_stop_signals():
            _configure_standard_streams()
            words = list(sys.argv[1:] if arguments is None else arguments)
            if (text := _format_output(words)) is not None:
                print(text)
                code = 0
            else:
                command = plugins.get_command(words[0])
                label = f"charrnn {command.name}"
                code = _run(command, words[1:])
    except BaseException as error:
        code = exit_codes.end(label, error)
    if arguments is None and "torch" not in sys.modules:
        # A short process ends 80 ms sooner if it does not free its objects. torch's libraries
        # print warnings about objects that are not freed.
        gc.freeze()
    return exit_codes.flush(label, code)


def _run(command: plugins.Command, words: list[str]) -> int:
    """Run a command with the words after its name, and return the exit code."""
    from charrnn.cli import front

    front.run(command, words)
    return 0


def _configure_standard_streams() -> None:
    """Escape what standard output cannot encode, and ignore write errors of standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = ignore_write_errors(sys.stderr)


def _format_output(words: list[str]) -> str | None:
    """Return the help or the version, or None if the words run a command."""
    first, *rest = words or ["--help"]
    if "--version" in words[:2]:
        from charrnn import __version__

        return f"charrnn {__version__}"
    is_help = {"-h", "--help", "--help=all"} & {*rest}
    if first in ("-h", "--help") or is_help:
        from charrnn.cli import help_page

        if not is_help:
            return help_page.format_overview()
        return help_page.format_help(first, "--help=all" in rest, get_terminal_width(sys.stdout))
    if first.startswith("-") or "=" in first:
        raise InputError(f"{first}: put the command first: charrnn COMMAND {first}")
    return None


@contextlib.contextmanager
def _raise_on_stop_signals() -> Iterator[None]:
    """Raise Interrupted on a stop signal until the command installs its handlers.

    Existing handlers stay, such as nohup's for SIGHUP.
    """
    received_signals.clear()
    previous = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}
    replaced = (signal.SIG_DFL, signal.default_int_handler)
    handled = [signum for signum in previous if previous[signum] in replaced]
    if threading.current_thread() is not threading.main_thread():
        handled = []  # Only the main thread can set handlers.
    for signum in handled:
        signal.signal(signum, terminate)
    try:
        yield
    finally:
        for signum in handled:
            signal.signal(signum, previous[signum])


if __name__ == "__main__":
    sys.exit(main())
