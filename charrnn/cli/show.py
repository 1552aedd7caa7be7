"""``--cfg``, ``--info`` and ``--hydra-help``: what would be is printed, and nothing is run."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from dataclasses import asdict
from typing import Any

from charrnn.cli import hydra_main
from charrnn.cli.job import Job, options_of
from charrnn.cli.line import Line, hydra_config
from charrnn.cli.refusals import explaining
from charrnn.errors import InputError


def show(line: Line) -> None:
    """Print what the flags ask for."""
    text = _resolved(line) or _by_hydra(line)
    encoding = sys.stdout.encoding or "utf-8"
    print(text.rstrip("\n").encode(encoding, "backslashreplace").decode(encoding))


def _resolved(line: Line) -> str | None:
    """``--cfg job --resolve``: the options as the command gets them, ``${oc.env:LR}`` a number.

    None where something else is asked for, or an option is still missing.
    """
    if line.flags.cfg != "job" or not line.flags.resolve:
        return None
    try:
        with explaining(line):
            config = line.compose()
            with hydra_config(config):
                values: Any = asdict(options_of(line.command, config, config.hydra))
    except InputError:
        return None
    header = ""
    if line.flags.package not in (None, "_global_"):
        header = f"# @package {line.flags.package}\n"
        for part in str(line.flags.package).split("."):
            if not isinstance(values, dict) or part not in values:
                return None
            values = values[part]
    import yaml

    return header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _by_hydra(line: Line) -> str:
    shown = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        with (
            explaining(line),
            contextlib.redirect_stdout(shown),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            hydra_main.run(
                line, Job(line.command, line.run, False), line.words(line.flags.show_only())
            )
    except SystemExit as end:
        if end.code:
            raise InputError(f"--package {line.flags.package}: no such part") from None
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
    return shown.getvalue()
