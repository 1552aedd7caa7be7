"""What a command prints of its config, instead of running."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from dataclasses import asdict
from typing import Any

from hydra import main
from omegaconf import DictConfig, OmegaConf

from charrnn.cli.command_line import Line, hydra_config
from charrnn.cli.job import options_of
from charrnn.cli.refusals import explaining
from charrnn.errors import InputError
from charrnn.options.training import TrainOptions
from charrnn.runs.recorded_config import MISSING, found


def show(line: Line) -> None:
    """Print what the flags ask for."""
    text = _composed(line) if line.flags.cfg else _by_hydra(line)
    encoding = sys.stdout.encoding or "utf-8"
    print(text.rstrip("\n").encode(encoding, "backslashreplace").decode(encoding))


def _composed(line: Line) -> str:
    """``--cfg``, as Hydra prints it; with ``job --resolve`` the options as the command gets them.

    So ``${oc.env:LR}`` is a number there, unless an option is still missing.
    """
    kind, resolve = line.flags.cfg, line.flags.resolve
    package = "" if line.flags.package in (None, "_global_") else str(line.flags.package)
    with explaining(line):
        config = line.compose()
        keys = [str(key) for key in config if kind != "job" or key != "hydra"]
        keys = ["hydra"] if kind == "hydra" else keys
        with hydra_config(config):
            part: Any = _built(line, config) if kind == "job" and resolve else None
            if part is None:
                part = OmegaConf.to_container(OmegaConf.masked_copy(config, keys), resolve=resolve)
    if package and (part := found(part, package)) is MISSING:
        raise InputError(f"--package {package}: no such part")
    if not isinstance(part, dict | list):
        return str(part)
    # its strings are quoted where they would be read as something else
    return f"# @package {package}\n" * bool(package) + OmegaConf.to_yaml(part)


def _built(line: Line, config: DictConfig) -> dict[str, Any] | None:
    try:
        options = options_of(line.command, config, config.hydra)
    except InputError:
        return None
    return options.plain() if isinstance(options, TrainOptions) else asdict(options)


def _by_hydra(line: Line) -> str:
    """``--info`` and ``--hydra-help``, which only hydra.main answers; it reads sys.argv."""
    flags = line.flags
    flag = "--hydra-help" if flags.hydra_help else f"--info={flags.info}"
    job = [f"hydra.job.name={line.command}"]
    task = main(version_base="1.3", config_path=line.config_path, config_name=line.config_name)
    shown, argv = io.StringIO(), sys.argv
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        with (
            explaining(line),
            contextlib.redirect_stdout(shown),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(SystemExit),
        ):
            sys.argv = ["charrnn", flag, *line.searching(line.overrides), *job]
            task(line.run)()
    finally:
        sys.argv = argv
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
    return shown.getvalue()
