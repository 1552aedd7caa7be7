"""Run a command with hydra.main: literal texts are quoted, and everything else is Hydra's.

Hydra composes conf/, makes folders, prints --cfg and --info, and runs sweeps (-m) with any launcher.
Each job checks its options itself: a job that is refused or fails is told at once, and the others
go on. An error is raised to `charrnn.__main__`, which prints it as one line.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli import current_job, exit_codes, help_page
from charrnn.cli.checked_options import build
from charrnn.cli.hydra_errors import translate_errors
from charrnn.cli.overrides import (
    MULTIRUN,
    CommandLine,
    is_bare,
    is_multirun,
    parse,
    quote,
    quote_literals,
)
from charrnn.errors import InputError, Interrupted, RunError, raise_received, received_signals
from charrnn.files import make_folder

_existing: set[Path] = set()  # folders that a refused run does not remove
_TAKES_VALUE = ("-c", "--cfg", "-p", "--package", "-cd", "--config-dir", "-cp", "--config-path",
                "-cn", "--config-name")  # fmt: skip


def run(command: plugins.Command, typed: Sequence[str]) -> None:
    """Run a command line: one job, or the jobs of a sweep."""
    flags, line = read_line(command, typed)
    _existing.update(Path.cwd().glob("*"), Path.cwd().glob("*/*"), Path.cwd().parents, [Path.cwd()])
    show, folder, failures = exit_codes.shows_tracebacks(), None, []

    def run_job(config: DictConfig) -> Any:
        nonlocal folder
        folder = current_job.get_sweep_folder()  # None outside a sweep
        try:
            return getattr(result := _check_and_run(line, config), "objective", result)
        except Interrupted:
            raise
        except Exception as error:
            failures.append(error)  # Hydra would print its own lines about it.
            if (name := current_job.get_name()) != "":
                exit_codes.end(f"charrnn {command.name}: {name}", error, show)
            return None

    with contextlib.ExitStack() as stack:
        if is_multirun(line.words) and not command.get("MAKES_FOLDER"):
            # Hydra writes files even for jobs without a folder.
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="charrnn-"))
            line = line._replace(words=[*line.words, f"hydra.sweep.dir={quote(place)}"])
        stack.enter_context(_hydra_main([*flags, *line.words]))
        stack.enter_context(translate_errors(line))
        main = hydra.main(str(line.main_config.parent), line.main_config.stem, version_base="1.3")
        main(run_job)()
    if folder is not None and command.get("MAKES_FOLDER"):
        from charrnn.runs import leaderboard

        leaderboard.report_sweep(folder)
    if failures:
        several = RunError(f"{len(failures)} job(s) failed") if folder is not None else None
        raise several or failures[0]


def run_hydra(command: plugins.Command, flags: list[str]) -> None:
    """Let Hydra answer flags that run nothing, such as those of the shell's completion."""
    store_configs(command)
    with _hydra_main(flags):
        hydra.main(str(plugins.CONF), command.name, version_base="1.3")(lambda config: None)()


def call(command: plugins.Command, typed: Sequence[str]) -> Any:
    """Run a command from Python, and return its result. Raise InputError or RunError."""
    received_signals.clear()  # of an earlier command in this process
    flags, line = read_line(command, typed)
    if flags or is_multirun(line.words):
        raise InputError("-m, --cfg and similar flags work only on the command line")
    with _clear_hydra(), translate_errors(line):
        with hydra.initialize_config_dir(str(line.main_config.parent), version_base="1.3"):
            config = hydra.compose(line.main_config.stem, line.words, return_hydra_config=True)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.runtime.output_dir = os.path.abspath(config.hydra.run.dir)
        HydraConfig.instance().set_config(config)
        job = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        return _check_and_run(line, job)


def read_line(command: plugins.Command, typed: Sequence[str]) -> tuple[list[str], CommandLine]:
    """Return Hydra's flags, and the overrides in its grammar."""
    flags, words, rest = [], [], [*typed]
    while rest:
        word = rest.pop(0)
        (flags if word.startswith("-") else words).append(word)
        if (word in _TAKES_VALUE and rest) or (
            word in ("-i", "--info") and is_bare(*rest[:1] or ["="])
        ):
            flags.append(rest.pop(0))
    if {"-m", "--multirun"} & {*flags}:
        flags = [flag for flag in flags if flag not in ("-m", "--multirun")]
        words.append(MULTIRUN)
    words = quote_literals(words, command)
    store_configs(command)
    line = CommandLine(command, plugins.CONF / f"{command.name}.yaml", words)
    with translate_errors(line):
        if prepare_words := command.get("prepare_words"):
            words = prepare_words(words)
        if MULTIRUN in words:  # the names of the jobs have only what differs between them
            equal = [o.key_or_group for o in parse(words) if not o.is_sweep_override()]
            names = ",".join(map(quote, dict.fromkeys([*equal, "resume", "trust"])))
            words = [*words, f"hydra.job.config.override_dirname.exclude_keys=[{names}]"]
    return flags, line._replace(words=words)


def _check_and_run(line: CommandLine, config: DictConfig) -> Any:
    """Check the options of a job, and run the command with them."""
    command, folder = line.command, current_job.get_folder()
    try:
        if HydraConfig.get().job.chdir:
            raise InputError("hydra.job.chdir=true: charrnn does not change the working directory")
        with translate_errors(line):
            options = make_options(command, config)
            if current_job.get_number() is not None and (check := command.get("check_in_sweep")):
                check(options, config)
        raise_received()
        if not gc.isenabled():  # see `charrnn.__main__`
            gc.freeze()
            gc.unfreeze()
            gc.enable()
        if not command.get("MAKES_FOLDER"):
            return command.get("run")(options)
        make_folder(folder)
        return command.get("run")(options, config)
    except InputError:
        with contextlib.suppress(OSError):  # Leave no folder of Hydra's, unless it has files.
            for path in (p for p in (folder, *folder.parents) if p not in _existing):
                path.rmdir()
        raise


def make_options(command: plugins.Command, config: DictConfig) -> Any:
    """Check a composed config, and build the command's options from it."""
    schema = command.get("OPTIONS")
    values: Any = OmegaConf.to_container(config, resolve=True)
    missing = OmegaConf.missing_keys(config)
    # An unknown option is reported first: it may be the missing option, misspelled.
    if missing and values.keys() <= {option.name for option in fields(schema)}:
        option = help_page.read_page(command.name).options.get(key := min(missing))
        raise InputError(f"{key} is required: {key}=VALUE, {option.explanation if option else ''}")
    return build(schema, values)


@contextlib.contextmanager
def _clear_hydra() -> Iterator[None]:
    """Let Hydra start in a program that may use it already, and restore its state."""
    running, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    handlers, level = logging.root.handlers[:], logging.root.level
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = running, config
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


@contextlib.contextmanager
def _hydra_main(words: list[str]) -> Iterator[None]:
    """Set what hydra.main reads: sys.argv, and the variable that makes it raise its errors."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["charrnn", *words], "1"
    try:
        with _clear_hydra():
            yield
    finally:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR")
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def store_configs(command: plugins.Command) -> None:
    """Put the YAML files of extras and other packages into Hydra's ConfigStore."""
    store = ConfigStore.instance().store
    for folder in plugins.list_conf_folders(command.name):
        for path in folder.rglob("*.yaml") if folder != plugins.CONF else ():
            group = path.parent.relative_to(folder).as_posix()
            first = path.read_text("utf-8").partition("\n")[0]
            package = "_global_" if "@package _global_" in first else None
            store(path.stem, OmegaConf.load(path), group if group != "." else None, package)
