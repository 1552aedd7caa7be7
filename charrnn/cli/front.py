"""Run a command with the words that follow its name."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.types import RunMode
from omegaconf import OmegaConf

from charrnn import plugins
from charrnn.cli import hydra_runs
from charrnn.cli.flags import parse_flags
from charrnn.cli.hydra_errors import translate_errors
from charrnn.cli.overrides import (
    MULTIRUN,
    CommandLine,
    find_word,
    get_key,
    is_multirun,
    quote,
    quote_literals,
)
from charrnn.errors import InputError, received_signals


def run(command: plugins.Command, typed: Sequence[str]) -> None:
    """Run a command line. Its errors are explained by `charrnn.cli.exit_codes`."""
    flags, line = read_line(command, typed)
    sets_hydra = any(get_key(word).split(".")[0] == "hydra" for word in line.words)
    if flags.printing:
        words = [] if flags.hydra_help else line.words  # for which Hydra composes no config
        print(hydra_runs.read_output(line._replace(words=[*flags.printing, *words])))
        return
    if not (command.get("MAKES_FOLDER") or sets_hydra):
        hydra_runs.run_once(line)
        return
    config = None
    if not is_multirun(line.words):
        with hydra_runs.initialize(line):
            config = hydra_runs.compose(line)
    if config is None or config.hydra.mode == RunMode.MULTIRUN:
        from charrnn.cli import sweep

        sweep.run(line, typed)
    else:
        hydra_runs.run_main(line, config.hydra.runtime.output_dir, {})


def call(command: plugins.Command, typed: Sequence[str]) -> Any:
    """Run a command from Python, and return its result. Raise InputError or RunError."""
    received_signals.clear()  # of an earlier command in this process
    flags, line = read_line(command, typed)
    if flags.printing or is_multirun(line.words):
        raise InputError(hydra_runs.ONLY_ON_COMMAND_LINE)
    return hydra_runs.run_once(line)


def read_line(command: plugins.Command, typed: Sequence[str]) -> tuple[Namespace, CommandLine]:
    """Return the flags, and the command line in Hydra's grammar."""
    flags, words = parse_flags([*typed], command.name)
    words = quote_literals([*words, *[MULTIRUN] * flags.multirun], command)
    store_configs(command)
    main_config = plugins.CONF / f"{command.name}.yaml"
    if flags.config_name or flags.config_dir or flags.config_path:
        main_config = _find_main_config(command, flags)
    with translate_errors(CommandLine(command, main_config, words)):
        if prepare_words := command.get("prepare_words"):
            words = prepare_words(words)
        if choose_main_config := command.get("choose_main_config"):
            name = choose_main_config(words)
            if name is not None and flags.config_path:
                raise InputError("--config-path: a resume uses the run's record; leave one out")
            main_config = main_config if name is None else plugins.CONF / f"{name}.yaml"
    if flags.config_dir or flags.config_path:
        words = _add_searchpath(words, main_config, flags.config_dir)
    return flags, CommandLine(command, main_config, words)


def _find_main_config(command: plugins.Command, flags: Namespace) -> Path:
    """Return the file of the main config: in --config-path, else in --config-dir or in conf/."""
    name = f"{flags.config_name or command.name}.yaml"
    for folder in (flags.config_path, flags.config_dir):
        if folder and Path(folder, name).is_file():
            return Path(folder).absolute() / name
    if flags.config_path:
        raise InputError(f"--config-path {flags.config_path}: has no {name}")
    if flags.config_dir:
        _require_new_names(Path(flags.config_dir).absolute())
    return plugins.CONF / name


def _require_new_names(config_dir: Path) -> None:
    """Raise InputError if a file has the name of one in conf/, which Hydra would take instead."""
    for path in plugins.CONF.rglob("*.yaml"):
        mine = config_dir / path.relative_to(plugins.CONF)
        if mine.is_file() and not mine.samefile(path):
            raise InputError(f"{mine}: charrnn's file of this name would be taken; rename yours")


def _add_searchpath(words: list[str], main_config: Path, config_dir: str | None) -> list[str]:
    """Return the words with an override by which Hydra also searches conf/ and --config-dir.

    It searches the folder of the main config first. Its compose API has no --config-dir.
    """
    folders = [plugins.CONF, *([Path(config_dir).absolute()] if config_dir else [])]
    if not (urls := [f"file://{path}" for path in folders if path != main_config.parent]):
        return words
    given = find_word(words, "hydra.searchpath")
    if given is None and main_config.parent != plugins.CONF:
        urls += OmegaConf.select(OmegaConf.load(main_config), "hydra.searchpath") or []
    more = (given or "").partition("=")[2].strip("[] ")
    words = [word for word in words if word != given]
    return [*words, f"hydra.searchpath=[{','.join(filter(None, [*map(quote, urls), more]))}]"]


def store_configs(command: plugins.Command) -> None:
    """Put the YAML files of extras into Hydra's ConfigStore."""
    store = ConfigStore.instance().store
    for folder in plugins.list_conf_folders(command.name):
        for path in folder.rglob("*.yaml") if folder != plugins.CONF else ():
            group = path.parent.relative_to(folder).as_posix()
            first = path.read_text("utf-8").partition("\n")[0]
            package = "_global_" if "@package _global_" in first else None
            store(path.stem, OmegaConf.load(path), group if group != "." else None, package)
