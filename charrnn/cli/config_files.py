"""The YAML files that a config was composed of, where that has to be known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.cli.conf import WITHOUT_A_NODE
from charrnn.runs.recorded_config import Choice, is_choice, leaves


def key_of(override: str) -> str:
    """The option that an override sets, dotted: ``model.kind`` of ``model.kind=gru``."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def searched_folders(hydra: DictConfig) -> list[Path]:
    """The folders that are searched for YAML files, in order."""
    sources: Any = OmegaConf.to_container(hydra.runtime.config_sources)
    return [Path(source["path"]) for source in sources if source["schema"] == "file"]


def todays(overrides: list[str]) -> list[str]:
    """The overrides from ``resume=`` on: `charrnn.cli.resuming` puts a record's choices before."""
    resumes = [index for index, text in enumerate(overrides) if text.startswith("resume=")]
    return overrides[resumes[0] if resumes else 0 :]


def set_by_recipes(hydra: DictConfig) -> dict[str, list[str]]:
    """Group -> the options that its choice on the command line sets; experiments and the like."""
    keys = {key_of(word) for word in todays(_task(hydra))}
    recipes = {group: chosen(hydra, group) for group in WITHOUT_A_NODE if group in keys}
    return {
        group: [key for path in paths for key, _ in _settings(path)]
        for group, paths in recipes.items()
    }


def choices(hydra: DictConfig) -> dict[str, Choice]:
    """The name, or the list of names, that is chosen in each group; Hydra's own aside."""
    known: Any = OmegaConf.to_container(hydra.runtime.choices)
    found = {group: choice for group, choice in known.items() if choice is not None}
    # Hydra does not count a list of choices among them
    groups = {path.name for f in plugins.conf_folders("train") for path in f.iterdir()}
    for group in WITHOUT_A_NODE:
        for path in chosen(hydra, group):
            lists = {key: value for key, value in _settings(path) if key in groups - known.keys()}
            found |= {key: value for key, value in lists.items() if isinstance(value, list)}
    found |= {key: names for key, names in _lists(hydra).items() if key in groups}
    return {group: choice for group, choice in found.items() if is_choice(group, choice)}


def chosen(hydra: DictConfig, group: str) -> list[Path]:
    """The files of a group's choice or choices."""
    names = _lists(hydra).get(group) or [str(hydra.runtime.choices.get(group))]
    places = (
        [folder / group / f"{name}.yaml" for folder in searched_folders(hydra)] for name in names
    )
    first = (next(filter(Path.is_file, paths), None) for paths in places)
    return [path for path in first if path is not None]


def _lists(hydra: DictConfig) -> dict[str, list[str]]:
    """The groups for which the command line gives a list of choices."""
    pairs = [word.lstrip("+").partition("=") for word in _task(hydra)]
    given = {group: value.strip("[]").split(",") for group, _, value in pairs if value[:1] == "["}
    return {group: [name.strip() for name in names] for group, names in given.items()}


def _task(hydra: DictConfig) -> list[str]:
    written: Any = OmegaConf.to_container(hydra.overrides.task)
    return list(written)


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
    """The options that a file sets, and the groups that it chooses in, each with its value."""
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
    yield from leaves(content)
