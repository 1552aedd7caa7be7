"""Run a command with Hydra: once by its compose API, or by hydra.main, which also runs sweeps."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli import current_job, exit_codes, help_page
from charrnn.cli.checked_options import build
from charrnn.cli.hydra_errors import translate_errors
from charrnn.cli.overrides import CommandLine
from charrnn.errors import InputError, Interrupted, raise_received, shorten
from charrnn.files import OUTPUTS, make_folder
from charrnn.say import say, shorten_numbers

ONLY_ON_COMMAND_LINE = "-m, --cfg and similar flags work only on the command line"


# -- compose -------------------------------------------------------------------------------------


def compose(line: CommandLine) -> DictConfig:
    """Return the config of one run, with its folder. Call this inside `initialize`."""
    config = hydra.compose(line.main_config.stem, line.words, return_hydra_config=True)
    if config.hydra.job.chdir:
        raise InputError(
            "hydra.job.chdir=true: charrnn does not change the working directory; leave this out"
        )
    folder = get_folder(config, "hydra.run.dir")
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.runtime.output_dir = str(folder)
        config.hydra.mode = config.hydra.mode or RunMode.RUN
    return config


@contextlib.contextmanager
def initialize(line: CommandLine) -> Iterator[None]:
    """Initialize Hydra's compose API for the folder of the main config, and explain errors."""
    folder, name = str(line.main_config.parent), line.command.name
    with (
        translate_errors(line),
        _keep_global_hydra(),
        hydra.initialize_config_dir(folder, job_name=name, version_base="1.3"),
    ):
        yield


@contextlib.contextmanager
def _keep_global_hydra() -> Iterator[None]:
    """Clear the global Hydra so that it can be initialized, and restore it afterwards."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running


@contextlib.contextmanager
def set_hydra_config(config: DictConfig) -> Iterator[None]:
    """Resolve ``${hydra:...}`` from this config."""
    instance = HydraConfig.instance()
    previous = instance.cfg
    instance.set_config(config)
    try:
        yield
    finally:
        instance.cfg = previous


def get_folder(config: DictConfig, name: str) -> Path:
    """Return the folder of an option such as hydra.run.dir. Raise InputError without one."""
    with set_hydra_config(config):
        value = OmegaConf.select(config, name)
    if not value:
        raise InputError(f"{name}=: takes a folder")
    folder = Path(value).absolute()
    if not is_utf8(folder):
        hint = "its name is not UTF-8, which TensorBoard requires; choose another folder"
        raise InputError(f"{name}={shorten(folder)}: {hint}")
    return folder


def is_utf8(path: Path) -> bool:
    """Return whether the bytes of a path are UTF-8; others are lone surrogates in Python."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def make_options(command: plugins.Command, config: DictConfig) -> Any:
    """Check a composed config, and build the command's options from it."""
    schema = command.get("OPTIONS")
    known = {option.name for option in fields(schema)}
    values: Any = OmegaConf.to_container(config, resolve=True)
    missing = OmegaConf.missing_keys(config)
    # An unknown option is reported first: it may be the missing option, misspelled.
    if missing and values.keys() <= known:
        key, unknown = min(missing), help_page.Option("", "a value")
        if "[" in key:
            raise InputError(f"{key}=???: this text means a missing value; write another one")
        option = help_page.read_page(command.name).options.get(key, unknown)
        raise InputError(f"{key} is required: {key}=VALUE, {option.explanation}")
    return build(schema, values)


def remove_hydra(config: DictConfig) -> DictConfig:
    """Return a copy of a composed config without its node `hydra`."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


# -- run -----------------------------------------------------------------------------------------


def run_once(line: CommandLine) -> Any:
    """Run a command without hydra.main, which composes the config twice; return its result."""
    with initialize(line):
        config = compose(line)
    if config.hydra.mode == RunMode.MULTIRUN:
        raise InputError(ONLY_ON_COMMAND_LINE)
    existing = _find_existing(config.hydra.runtime.output_dir)
    with set_hydra_config(config):
        return _run_job(line, remove_hydra(config), existing)


def run_main(
    line: CommandLine,
    folder: str | Path,
    failures: dict[str, Exception],
    num_jobs: int | None = None,
) -> None:
    """Run a command by hydra.main. Raise a job's error unchanged, and translate Hydra's errors.

    Args:
        folder: the folder of the run or of the sweep, which Hydra makes.
        failures: gets the errors of jobs in this process, by the names of the jobs.
        num_jobs: the number of jobs of the sweep, if it is known.
    """
    existing, show = _find_existing(folder), exit_codes.shows_tracebacks()

    def run_job(config: DictConfig) -> Any:
        name = current_job.get_name()
        try:
            result = _run_job(line, config, existing, num_jobs)
            # A sweeper minimizes the objective of a training.
            return getattr(result, "objective", result)
        except Interrupted as error:
            raise Interrupted(f"{name}: {error}".lstrip(": "), error.signum) from None
        except Exception as error:
            failures[name] = error
            if name:
                exit_codes.end(f"charrnn {line.command.name}: {name}", error, show)
            raise

    try:
        with _keep_global_hydra(), _prepare_hydra_main(line.words):
            main_folder, name = str(line.main_config.parent), line.main_config.stem
            hydra.main(main_folder, name, version_base="1.3")(run_job)()
    except Exception as error:
        if any(error is failure for failure in failures.values()):
            raise
        with translate_errors(line):
            raise


def _run_job(
    line: CommandLine, config: DictConfig, existing: Path, num_jobs: int | None = None
) -> Any:
    """Check the options of a run, or of a job of a sweep, and run the command with them."""
    folder, number = current_job.get_folder(), current_job.get_number()
    run = line.command.get("run")
    with _remove_if_refused(folder, existing):
        with translate_errors(line):
            options = make_options(line.command, config)
        raise_received()  # because the imports may drop its exception
        enable_garbage_collector()
        if not line.command.get("MAKES_FOLDER"):
            return run(options)
        make_folder(folder)
        if number is not None:
            of = f", {number + 1} of {num_jobs}" if num_jobs else ""
            say(f"sweep: job {number}{of} ({shorten_numbers(current_job.describe_sweep())})")
        return run(options, config)


def read_output(line: CommandLine) -> str:
    """Return what Hydra prints for flags such as --cfg, instead of running the command."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            run_main(line, OUTPUTS, {})
        except SystemExit as end:
            if end.code:  # Hydra has printed its error.
                raise
    return output.getvalue().rstrip("\n")


def enable_garbage_collector() -> None:
    """Turn the garbage collector on again after the imports (see `charrnn.__main__`)."""
    if not gc.isenabled():
        # This moves the imported objects to the oldest generation, which is rarely searched.
        gc.freeze()
        gc.unfreeze()
        gc.enable()


def _find_existing(name: str | Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    folder = Path(name).absolute()
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))


@contextlib.contextmanager
def _remove_if_refused(folder: Path, existing: Path) -> Iterator[None]:
    """Remove a run's folder, and parents below `existing`, if it is empty after an error."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            while existing in folder.parents:
                if folder.exists():  # The run may have removed it.
                    folder.rmdir()
                folder = folder.parent
        raise


@contextlib.contextmanager
def _prepare_hydra_main(words: list[str]) -> Iterator[None]:
    """Set sys.argv, which hydra.main parses; with HYDRA_FULL_ERROR=1 it raises errors.

    It configures the root logger, which is restored.
    """
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    handlers, level = logging.root.handlers[:], logging.root.level
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["charrnn", *words], "1"
    try:
        with contextlib.redirect_stderr(_StreamWithoutHydraError(sys.stderr)):
            yield
    finally:
        sys.argv, logging.root.handlers[:] = argv, handlers
        logging.root.setLevel(level)
        del os.environ["HYDRA_FULL_ERROR"]
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


class _StreamWithoutHydraError:
    """Standard error without Hydra's line about a failed job; charrnn prints a better one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if not text.startswith("Error executing job with overrides:"):
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
