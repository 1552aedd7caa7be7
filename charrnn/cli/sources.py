"""The YAML files that a config was composed of, where that has to be known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from charrnn.cli import conf
from charrnn.cli.conf import WITHOUT_A_NODE
from charrnn.runs.record import is_choice


def key_of(override: str) -> str:
    """The option that an override sets, dotted: ``model.kind`` of ``model.kind=gru``."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def folders(hydra: DictConfig) -> list[Path]:
    """The folders that are searched for YAML files, in order."""
    sources = OmegaConf.to_container(hydra.runtime.config_sources)
    return [Path(source["path"]) for source in sources if source["schema"] == "file"]  # type: ignore


def given(hydra: DictConfig) -> tuple[str, ...]:
    """The options that the command line sets, itself or by an experiment or a debug choice."""
    written: Any = OmegaConf.to_container(hydra.overrides.task)
    overrides = todays(written)
    keys = [key_of(override) for override in overrides]
    for group in WITHOUT_A_NODE:
        if group in keys:
            for path in chosen(hydra, group):
                keys += set_by(path)
    return tuple(dict.fromkeys(key for key in keys if key not in WITHOUT_A_NODE))


def todays(overrides: list[str]) -> list[str]:
    """The overrides from ``resume=`` on: `charrnn.cli.resuming` puts a record's choices before."""
    resumes = [index for index, text in enumerate(overrides) if text.startswith("resume=")]
    return overrides[resumes[0] if resumes else 0 :]


def choices(hydra: DictConfig) -> dict[str, Any]:
    """The name, or the list of names, that is chosen in each group; Hydra's own aside."""
    known: Any = OmegaConf.to_container(hydra.runtime.choices)
    found = {group: choice for group, choice in known.items() if choice is not None}
    # Hydra does not count a list of choices among them
    groups = {path.name for path in conf.CONF.iterdir() if path.is_dir()} - {"base", "hydra"}
    if lists := groups - known.keys():
        words: Any = OmegaConf.to_container(hydra.overrides)
        loader = GlobalHydra.instance().config_loader()
        composed = loader.compute_defaults_list(
            hydra.job.config_name, [*words["hydra"], *words["task"]], RunMode.RUN
        )
        for group in lists:
            below = f"{group}/"
            found[group] = [
                str(default.config_path).removeprefix(below)
                for default in composed.defaults
                if str(default.config_path).startswith(below)
                and not str(default.parent).startswith(below)
            ]
    return {group: choice for group, choice in found.items() if is_choice(group, choice)}


def has(hydra: DictConfig, group: str, choice: Any) -> bool:
    """Whether there is a file for each name of a choice."""
    names = choice if isinstance(choice, list) else [choice]
    return all(_file(hydra, f"{group}/{name}") is not None for name in names)


def chosen(hydra: DictConfig, group: str) -> list[Path]:
    """The files of a group's choice or choices."""
    choices: Any = OmegaConf.to_container(hydra.runtime.choices)
    written: Any = OmegaConf.to_container(hydra.overrides.task)
    # Hydra does not count a list of choices among them
    lists = [o.partition("=")[2] for o in written if o.startswith(f"{group}=[")]
    choice = lists[-1] if lists else choices.get(group)
    names = choice if isinstance(choice, list) else str(choice).strip("[]").split(",")
    paths = [_file(hydra, f"{group}/{name.strip()}") for name in names]
    return [path for path in paths if path is not None]


def set_by(path: Path) -> list[str]:
    """The options that a file with ``# @package _global_`` sets, and the groups it chooses."""
    return list(dict.fromkeys(key for key, _ in _settings(path)))


def naming(hydra: DictConfig, name: str, value: object) -> Path | None:
    """The file that gives an option this value; None if it cannot be told."""
    choices: Any = OmegaConf.to_container(hydra.runtime.choices)
    for group in [*reversed(WITHOUT_A_NODE), *choices]:
        prefix = "" if group in WITHOUT_A_NODE else f"{group.replace('/', '.')}."
        for path in chosen(hydra, group):
            for key, setting in _settings(path):
                whole = f"{prefix}{key}"
                if (whole == name and setting == value) or whole.startswith(f"{name}."):
                    return path
    return None


def _settings(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except Exception:  # it was composed, so this is a file that Hydra reads in another way
        return
    if not isinstance(content, dict):
        return
    for entry in content.pop("defaults", None) or ():
        if isinstance(entry, str):
            beside = path.parent / f"{entry}.yaml"
            if entry != "_self_" and beside.is_file() and beside != path:
                yield from _settings(beside)
        elif isinstance(entry, dict):
            for group, choice in entry.items():
                group = str(group).removeprefix("override ").removeprefix("optional ").strip()
                if not group.startswith("/hydra/"):  # of Hydra's own part
                    yield group.strip("/").partition("@")[0].replace("/", "."), choice
    content.pop("hydra", None)
    yield from _leaves(content, "")


def _leaves(values: dict[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _file(hydra: DictConfig, name: str) -> Path | None:
    for folder in folders(hydra):
        path = Path(os.path.join(folder, f"{name}.yaml"))
        if path.is_file():
            return path
    return None
