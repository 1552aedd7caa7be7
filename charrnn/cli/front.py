"""Run a command with hydra.main: literal texts are quoted, and everything else is Hydra's.

Hydra composes conf/, makes folders, answers --cfg and --info, and runs sweeps (-m) with any
launcher. Each job checks its options itself, so a sweep goes on when one of its jobs is refused.
Errors are raised to `charrnn.__main__`, which prints each as one line.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
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
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from charrnn import plugins
from charrnn.cli import current_job, exit_codes, help_page
from charrnn.cli.checked_options import build
from charrnn.cli.flags import split_flags
from charrnn.cli.hydra_errors import translate_errors
from charrnn.cli.overrides import (
    MULTIRUN,
    CommandLine,
    get_key,
    is_multirun,
    parse,
    quote,
    quote_literals,
    show,
)
from charrnn.errors import (
    InputError,
    RunError,
    explain,
    raise_received,
    received_signals,
    to_one_line,
    walk_causes,
)
from charrnn.files import shorten_path


class HydraFolders(Callback):
    """Notes the folders of a run or a sweep before Hydra makes them.

    Hydra makes its callbacks itself, from conf/base/run_folder.yaml, so the class has the values.
    """

    sweep: Path | None = None
    missing: tuple[Path, ...] = ()  # which do not exist yet, the innermost first

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraFolders.missing = _list_missing(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        from charrnn.runs.folder import prepare_sweep

        HydraFolders.sweep = Path(config.hydra.sweep.dir).absolute()
        HydraFolders.missing = _list_missing(HydraFolders.sweep)
        prepare_sweep(HydraFolders.sweep)


def _list_missing(folder: Path) -> tuple[Path, ...]:
    """Return the folders that do not exist, of a folder and those that contain it."""
    folder = folder.absolute()
    return tuple(path for path in (folder, *folder.parents) if not path.exists())


def run(command: plugins.Command, typed: Sequence[str]) -> None:
    """Run a command line: one job, or the jobs of a sweep."""
    line = read_line(command, typed)
    failures: list[Exception] = []
    HydraFolders.sweep, HydraFolders.missing = None, ()

    def run_job(config: DictConfig) -> Any:
        try:
            result = _run_job(line, config)
            return getattr(result, "objective", result)  # which a sweep minimizes
        except Exception as error:
            if not (name := current_job.get_name()):
                failures.append(error)  # If the job raised it, Hydra would print lines of its own.
                return None
            exit_codes.end(f"charrnn {command.name}: {name}", error)
            _remove_empty_folders([current_job.get_folder()])
            error.is_told = True  # type: ignore[attr-defined]  # also when a worker sends it back
            raise

    is_complete = False
    try:
        with _hide_sweep_files(line) as line, translate_errors(line):
            _call_hydra_main(line, run_job)
        is_complete = True
    except Exception as error:
        if not any(getattr(cause, "is_told", False) for cause in walk_causes(error)):
            _remove_new_folders()
            raise
        # A job of submitit has printed its line into a log.
        first = explain(error) or to_one_line(error, with_type=True)
        raise RunError(f"not all jobs succeeded; the first that failed: {first}") from None
    finally:
        if HydraFolders.sweep is not None and command.get("MAKES_FOLDER"):
            _report_sweep(HydraFolders.sweep, typed, is_complete)
    for failure in failures:
        if isinstance(failure, InputError):
            _remove_new_folders()
        raise failure


def call(command: plugins.Command, typed: Sequence[str]) -> Any:
    """Run a command from Python, and return its result. Raise InputError or RunError."""
    received_signals.clear()  # of an earlier command in this process
    line = read_line(command, typed)
    if line.flags or is_multirun(line.words):
        raise InputError("-m, --cfg and similar flags work only on the command line")
    with translate_errors(line), _set_hydra_aside():
        with hydra.initialize_config_dir(str(plugins.CONF), version_base="1.3"):
            config = hydra.compose(command.name, line.words, return_hydra_config=True)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.runtime.output_dir = os.path.abspath(config.hydra.run.dir)
        HydraConfig.instance().set_config(config)
        return _run_job(
            line, OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"])
        )


def read_line(command: plugins.Command, typed: Sequence[str]) -> CommandLine:
    """Return the flags for Hydra, and the overrides in its grammar."""
    flags, words = split_flags(typed)
    if {"-m", "--multirun"} & {*flags}:
        flags = [flag for flag in flags if flag not in ("-m", "--multirun")]
        words = [*words, MULTIRUN]
    words = quote_literals(words, command)
    _store_configs(command, with_conf=any(f.startswith(("-cp", "--config-path")) for f in flags))
    with translate_errors(CommandLine(command, flags, words)):
        prepare_words = command.get("prepare_words")
        prepared = words if prepare_words is None else prepare_words(words)
        added = {get_key(word) for word in prepared} - {get_key(word) for word in words}
        if is_multirun(prepared):
            prepared = [*prepared, _name_jobs_by_differences(prepared)]
    return CommandLine(command, flags, prepared, frozenset(added))


def _name_jobs_by_differences(words: Sequence[str]) -> str:
    """Return an override that leaves the options which all jobs share out of the jobs' names."""
    last = {override.key_or_group: override for override in parse(words)}
    shared = [name for name, override in last.items() if not override.is_sweep_override()]
    names = ",".join(map(quote, dict.fromkeys([*shared, "resume"])))
    return f"hydra.job.config.override_dirname.exclude_keys=[{names}]"


def _run_job(line: CommandLine, config: DictConfig) -> Any:
    """Check the options of a job, and run the command with them."""
    command = line.command
    if HydraConfig.get().job.chdir:
        raise InputError("hydra.job.chdir=true: charrnn does not change the working directory")
    with translate_errors(line):
        options = make_options(command, config)
    raise_received()
    if not gc.isenabled():  # see `charrnn.__main__`
        gc.freeze()
        gc.unfreeze()
        gc.enable()
    if not command.get("MAKES_FOLDER"):
        return command.get("run")(options)
    typed = [w for w in HydraConfig.get().overrides.task if get_key(w) not in line.added]
    return command.get("run")(options, config, [*line.flags, *map(show, typed)])


def make_options(command: plugins.Command, config: DictConfig) -> Any:
    """Check a composed config, and build the command's options from it."""
    schema = command.get("OPTIONS")
    values: Any = OmegaConf.to_container(config, resolve=True)
    missing = OmegaConf.missing_keys(config)
    # An unknown option is reported first: it may be the missing option, misspelled.
    if missing and values.keys() <= {option.name for option in fields(schema)}:
        unexplained = help_page.Option("", "")
        option = help_page.read_page(command.name).options.get(key := min(missing), unexplained)
        raise InputError(f"{key} is required: {key}=VALUE, {option.explanation}")
    return build(schema, values)


def _call_hydra_main(line: CommandLine, task: Any) -> None:
    """Call hydra.main, which reads sys.argv, and raises errors only under HYDRA_FULL_ERROR."""
    # With the override alone, Hydra would name a wrong option of a sweep as one of a single run.
    multirun = ["--multirun"] if is_multirun(line.words) else []
    words = [word for word in line.words if word != MULTIRUN]
    typed, sys.argv = sys.argv, ["charrnn", *multirun, *line.flags, *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(str(plugins.CONF), line.command.name, version_base="1.3")(task)()
    finally:
        sys.argv = typed  # of a program that calls `charrnn.__main__.main`


@contextlib.contextmanager
def _hide_sweep_files(line: CommandLine) -> Iterator[CommandLine]:
    """Send Hydra's files of a sweep to a temporary folder if the command has no folder."""
    if line.command.get("MAKES_FOLDER") or not is_multirun(line.words):
        yield line
        return
    with tempfile.TemporaryDirectory(prefix="charrnn-") as folder:
        yield line._replace(words=[*line.words, f"hydra.sweep.dir={quote(folder)}"])


@contextlib.contextmanager
def _set_hydra_aside() -> Iterator[None]:
    """Clear the state of a program that uses Hydra already, and restore it afterwards."""
    running, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = running, config


def _report_sweep(folder: Path, typed: Sequence[str], is_complete: bool) -> None:
    """Print the leaderboard of a sweep, and how to continue it if it is not complete."""
    from charrnn.runs import leaderboard

    kept = [word for word in typed if get_key(word) not in ("hydra.sweep.dir", "resume")]
    words = [*kept, f"hydra.sweep.dir={shorten_path(folder)}", "resume=auto"]
    leaderboard.report_sweep(folder, "" if is_complete else f"charrnn train {shlex.join(words)}")


def _remove_new_folders() -> None:
    """Remove the folders that Hydra has made for a command that is refused as a whole."""
    if HydraFolders.sweep in HydraFolders.missing:
        (HydraFolders.sweep / "multirun.yaml").unlink(missing_ok=True)
    _remove_empty_folders(HydraFolders.missing)


def _remove_empty_folders(folders: Sequence[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # It has files, or is removed already.
            folder.rmdir()


def _store_configs(command: plugins.Command, with_conf: bool) -> None:
    """Put YAML files into Hydra's ConfigStore, where Hydra looks last.

    They are those of extras and, for ``--config-path``, those of conf/.
    """
    store = ConfigStore.instance().store
    for folder in plugins.list_conf_folders(command.name):
        for path in folder.glob("**/*.yaml" if folder != plugins.CONF else "*/**/*.yaml"):
            if folder == plugins.CONF and not with_conf:
                continue
            group = path.parent.relative_to(folder).as_posix()
            first = path.read_text("utf-8").partition("\n")[0]
            package = "_global_" if "@package _global_" in first else None
            store(path.stem, OmegaConf.load(path), group if group != "." else None, package)
