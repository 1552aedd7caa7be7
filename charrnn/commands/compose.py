"""From the words of a command line to options, and from there into the command.

Hydra composes conf/ and the overrides, and the command's dataclass checks the result; both
before anything is written and before the command imports what takes time (its module
defines ``run`` and imports inside it). Hydra's pieces are called one by one rather than
through ``@hydra.main``, which makes the run folder before the options are checked, ends a
sweep on one refused job, and complains at length.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import sys
import typing
import warnings
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from charrnn.commands import conf, endings
from charrnn.commands.overrides import literal, refuse_flags
from charrnn.commands.refusals import explain
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.options import SCHEMAS

# those of Hydra's that make sense here: not its completion, nor a rerun from a pickle
FLAGS = {
    *("-m", "--multirun", "-r", "--run", "-c", "--cfg", "-p", "--package", "--resolve"),
    *("-cd", "--config-dir", "-cn", "--config-name", "-cp", "--config-path"),
    *("-i", "--info", "--hydra-help"),
}

_composed: DictConfig | None = None


# What a command may ask while it runs


def run_dir() -> Path:
    """The run's folder, absolute."""
    return Path(HydraConfig.get().runtime.output_dir)


def task_overrides() -> list[str]:
    """The overrides of this run or job in Hydra's grammar, without ``hydra.*``."""
    # as plain values: looking at an item would resolve the ${...} in it
    overrides: Any = OmegaConf.to_container(HydraConfig.get().overrides.task)
    return list(overrides)


def composed_config() -> DictConfig:
    """The config of this run or job as composed, without Hydra's own part."""
    assert _composed is not None
    return _composed


def is_multirun() -> bool:
    """Whether this is one job of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


# The way there


@dataclass
class Call:
    """A command line, read: the command, its overrides as Hydra gets them, and Hydra."""

    command: str
    config_name: str
    overrides: list[str]
    multirun: bool
    hydra: Hydra

    def compose(self, mode: RunMode) -> DictConfig:
        """Merge conf/, the schema and the overrides.

        Raises:
            InputError: they do not fit together.
        """
        with self.explaining(self.overrides):
            config = self.hydra.compose_config(self.config_name, self.overrides, mode)
        if config.hydra.mode is None or mode == RunMode.MULTIRUN:
            config.hydra.mode = mode
            config.hydra.overrides.hydra.append(f"hydra.mode={mode.name}")
        return config

    @contextlib.contextmanager
    def explaining(self, overrides: list[str]) -> typing.Iterator[None]:
        """Turn whatever is raised while `overrides` are composed into an InputError."""
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"hydra\.")
                warnings.filterwarnings("error", message=".* is not available", module=r"hydra\.")
                yield
        except InputError:
            raise
        except Exception as error:
            raise explain(error, self.command, overrides, self.multirun) from error

    def job(self, config: DictConfig) -> int:
        """Run the command once, inside Hydra's run_job; an exit code comes back."""
        global _composed
        _composed = config
        try:
            options = options_of(self.command, config)
            importlib.import_module(f"charrnn.commands.{self.command}").run(options)
        except (Interrupted, BrokenPipeError) as error:
            # these end a whole sweep
            raise SystemExit(endings.end(self.label(), error)) from None
        except Exception as error:
            return endings.end(self.label(), error)
        return 0

    def label(self) -> str:
        """How this job's lines on standard error begin."""
        if not is_multirun():
            return f"charrnn {self.command}"
        number, overrides = HydraConfig.get().job.num, " ".join(task_overrides())
        return f"charrnn {self.command}: job {number} ({overrides})"


def main(command: str, words: list[str]) -> int:
    """Run `command` with the words that follow it and return the exit code."""
    module = importlib.import_module(f"charrnn.commands.{command}")
    if (follow := getattr(module, "follow", None)) and (code := follow()) is not None:
        return int(code)
    arguments = _parse(words)
    multirun = arguments.multirun or "hydra.mode=MULTIRUN" in arguments.overrides
    overrides = arguments.overrides
    if prepare := getattr(module, "prepare_overrides", None):
        overrides = prepare(overrides)
    overrides = literal(overrides, multirun)
    name = arguments.config_name or command
    call = Call(command, name, overrides, multirun, _hydra(command, arguments))
    if arguments.cfg or arguments.info or arguments.hydra_help:
        return _show(call, arguments)
    if multirun:
        from charrnn.commands import sweep

        return sweep.run(call)
    return _run(call)


def options_of(command: str, config: DictConfig) -> Any:
    """Build the command's dataclass from a composed config, which checks every value.

    Args:
        config: with or without Hydra's own part, which is left out.

    Raises:
        InputError: names an option that is missing or out of its range.
    """
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    missing = OmegaConf.missing_keys(config)
    if missing:
        name = min(missing)
        option = conf.page(command).options[name]
        raise InputError(f"{name} is required: {name}=VALUE, {option.explanation}")
    return _build(SCHEMAS[command], "", OmegaConf.to_container(config, resolve=True))


def folder_of(option: str, value: str) -> Path:
    """The folder that Hydra is to make, absolute."""
    folder = os.path.abspath(value)
    if value == "":
        raise InputError(f"{option}=: takes a folder")
    if "${" in folder:
        # Hydra writes the path back into its config, and would interpolate it there
        raise InputError(
            f"{option}={value}: Hydra cannot make a folder with ${{ in its path; for Hydra's own "
            f"${{...}} put the value in quotes: {option}=\"'...'\""
        )
    return Path(folder)


def refuse_folder(command: str, config: DictConfig, folder: Path) -> None:
    """Let the command refuse a folder before Hydra writes the config of this run into it."""
    module = importlib.import_module(f"charrnn.commands.{command}")
    if config.hydra.output_subdir is not None and hasattr(module, "refuse_folder"):
        module.refuse_folder(folder)


def _build(schema: Any, prefix: str, values: Any) -> Any:
    # not OmegaConf.to_object, which takes a text that happens to be ??? for a missing one
    arguments = {}
    for name, hint in typing.get_type_hints(schema).items():
        if name not in values:
            raise InputError(f"{prefix}{name}: cannot be left out")
        value = values[name]
        arguments[name] = _build(hint, f"{name}.", value) if is_dataclass(hint) else value
    return schema(**arguments)


def _parse(words: list[str]) -> Namespace:
    refuse_flags(words, FLAGS)
    parser: ArgumentParser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(words)
    modes = {"-m": arguments.multirun, "--cfg": arguments.cfg, "--info": arguments.info}
    if len(given := [flag for flag, value in modes.items() if value]) > 1:
        raise InputError(f"{' and '.join(given)}: give one of them")
    if (arguments.package or arguments.resolve) and not arguments.cfg:
        raise InputError("--package and --resolve go with --cfg")
    folder = arguments.config_dir
    if folder is not None and not os.path.isdir(folder):
        raise InputError(f"--config-dir {folder}: is no folder")
    return arguments


def _refuse(message: str) -> NoReturn:
    raise InputError(f"{message}; --help says how it is written")


def _hydra(command: str, arguments: Namespace) -> Hydra:
    version.setbase("1.3")
    ConfigStore.instance().store(name=f"{command}_schema", node=SCHEMAS[command])
    search_path = create_config_search_path(os.path.abspath(arguments.config_path or conf.CONF))
    if arguments.config_dir is not None:
        search_path.prepend(
            provider="command-line",
            path=f"file://{os.path.abspath(arguments.config_dir)}",
            anchor=SearchPathQuery(provider="schema"),
        )
    return Hydra(task_name=command, config_loader=ConfigLoaderImpl(search_path))


def _show(call: Call, arguments: Namespace) -> int:
    """``--cfg`` and the like: Hydra prints what would be, and nothing is run."""
    # Hydra's own report of a fault in the config would fill a screen
    os.environ["HYDRA_FULL_ERROR"] = "1"
    name, overrides = call.config_name, call.overrides
    shown = io.StringIO()
    with (
        call.explaining(overrides),
        contextlib.redirect_stdout(shown),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        try:
            if arguments.hydra_help:
                call.hydra.hydra_help(name, args_parser=get_args_parser(), args=arguments)
            elif arguments.info:
                call.hydra.show_info(arguments.info, config_name=name, overrides=overrides)
            else:
                call.hydra.show_cfg(
                    name, overrides, arguments.cfg, arguments.package, arguments.resolve
                )
        except SystemExit:
            raise InputError(f"--package {arguments.package}: no such part") from None
    encoding = sys.stdout.encoding or "utf-8"
    text = shown.getvalue().rstrip("\n")
    print(text.encode(encoding, "backslashreplace").decode(encoding))
    return 0


def _run(call: Call) -> int:
    config = call.compose(RunMode.RUN)
    if config.hydra.mode == RunMode.MULTIRUN:  # says an experiment file
        from charrnn.commands import sweep

        return sweep.run(call)
    with call.explaining(call.overrides):
        HydraConfig.instance().set_config(config)  # for ${hydra:...} among the options
        options_of(call.command, config)
        folder = folder_of("hydra.run.dir", config.hydra.run.dir)
        refuse_folder(call.command, config, folder)
    standing = next(path for path in (folder, *folder.parents) if path.exists())
    callbacks = Callbacks(config)
    callbacks.on_run_start(config=config, config_name=call.config_name)
    try:
        result = run_job(
            task_function=call.job,
            config=config,
            job_dir_key="hydra.run.dir",
            job_subdir_key=None,
            hydra_context=HydraContext(config_loader=call.hydra.config_loader, callbacks=callbacks),
        )
    except OSError as error:  # the command's own are dealt with in call.job
        raise RunError(f"{folder}: cannot be written ({error.strerror or error})") from error
    except Exception as error:
        _take_back(folder, standing)
        raise explain(error, call.command, call.overrides, multirun=False) from error
    callbacks.on_run_end(config=config, config_name=call.config_name, job_return=result)
    code = int(result.return_value)
    if code == InputError.exit_code:
        _take_back(folder, standing)
    return code


def _take_back(folder: Path, standing: Path) -> None:
    """Remove a run folder in which nothing has begun, and those made on the way to it."""
    if folder == standing or not folder.is_dir():
        return
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        return
    shutil.rmtree(folder)
    for parent in folder.parents:
        if parent == standing or any(parent.iterdir()):
            break
        parent.rmdir()
