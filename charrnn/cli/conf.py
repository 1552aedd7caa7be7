"""What stands in conf/ and the extras' YAML: groups, choices, options, defaults, explanations.

The comments in the YAML files are the only place where an option is explained; ``--help``
and the suggestions for a misspelt name are read from there. A YAML parser drops comments
and takes its time to import, so the files are read line by line here: they keep to plain
``name: value  # explanation`` lines. A name that starts with an underscore (``_target_``) says
what is built, and is no option.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from charrnn import plugins
from charrnn.plugins import CONF

# groups whose choices set options of other groups, and have none of their own
WITHOUT_A_NODE = ("experiment", "debug", "sweep")

_LINE = re.compile(r"( *)(\w+):(.*?)(?:\s#\s*(.*))?$")


class Option(NamedTuple):
    """The default as YAML writes it (``???``: has none) and a line of explanation."""

    default: str
    explanation: str


@dataclass
class Page:
    """What one command takes.

    Attributes:
        title: what it does, in a line.
        examples: command lines that show it.
        groups: group -> choice -> explanation, its default first.
        defaults: group -> its default choice; "null" for none.
        options: dotted name -> Option, as the default choices leave them.
        further: "group=choice" -> the options that it has and the default choice has not.
        targets: the dotted name of a node -> every ``_target_`` that a choice gives it -> the
            options that it has there.
    """

    title: str
    examples: list[str]
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)
    further: dict[str, dict[str, Option]] = field(default_factory=dict)
    targets: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Every name that can stand left of an equals sign."""
        further = [name for options in self.further.values() for name in options]
        return list(dict.fromkeys([*self.groups, *self.options, *further]))


def page(command: str) -> Page:
    """Read what `command` takes."""
    header, defaults, options = _read(plugins.get_command(command).conf / f"{command}.yaml")
    for path in plugins.list_added_options(command):
        more, _, added = _read(path)
        header, options = [*header, *more[1:]], {**options, **added}
    folders = plugins.list_conf_folders(command)
    result = Page(
        title=header[0].removeprefix(f"charrnn {command}: "),
        examples=[line for line in header[1:] if line],
    )
    for group, choice in defaults.items():
        files = _choices([folder / group for folder in folders], choice)
        if not files or group.startswith("hydra"):
            continue
        result.defaults[group] = choice
        result.groups[group] = {name: " ".join(_read(path)[0]) for name, path in files.items()}
        for name, path in files.items():  # the default choice is the first
            if group in WITHOUT_A_NODE:
                _add_targets(result.targets, _read(path)[2])
                continue
            own = {f"{group}.{n}": option for n, option in _chosen(path).items()}
            _add_targets(result.targets, own)
            own = {n: o for n, o in own.items() if not n.rpartition(".")[2].startswith("_")}
            if name == choice:
                result.options |= own
            elif new := {n: option for n, option in own.items() if n not in result.options}:
                result.further[f"{group}={name}"] = new
    hydras = [name for name in options if name.startswith("hydra.")]
    last = {name: options.pop(name) for name in hydras}
    result.options = {**options, **result.options, **last}
    return result


def _add_targets(targets: dict[str, dict[str, set[str]]], options: dict[str, Option]) -> None:
    for name, option in options.items():
        node, _, last = name.rpartition(".")
        if last == "_target_":
            known = targets.setdefault(node, {}).setdefault(option.default, set())
            known |= {n[len(node) + 1 :] for n in options if n.startswith(f"{node}.")}


def _choices(folders: list[Path], default: str) -> dict[str, Path]:
    """The files of a group, the default choice first."""
    paths = {path.stem: path for folder in reversed(folders) for path in folder.glob("*.yaml")}
    names = sorted(paths, key=lambda name: (name != default, name))
    return {name: paths[name] for name in names}


def _chosen(path: Path) -> dict[str, Option]:
    """The options of a group's choice: the file's own laid over those of its defaults list."""
    _, defaults, own = _read(path)
    options: dict[str, Option] = {}
    for name in defaults:  # /base/model@_here_, or another choice of this group
        name, _, _ = name.partition("@")
        base = CONF / name[1:] if name.startswith("/") else path.parent / name
        options |= _chosen(base.with_suffix(".yaml"))
    for name, option in own.items():
        inherited = options[name].explanation if name in options else ""
        options[name] = Option(option.default, option.explanation or inherited)
    return options


def _read(path: Path) -> tuple[list[str], dict[str, str], dict[str, Option]]:
    """Read one file: its comment at the top, its defaults list, its options."""
    header: list[str] = []
    defaults: dict[str, str] = {}
    options: dict[str, Option] = {}
    parents: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            if not options and "@package" not in line:
                header.append(line.removeprefix("#").strip())
        elif line.startswith("  - "):
            group, _, choice = line.removeprefix("  - ").partition(": ")
            defaults[group.strip()] = choice.strip()
        elif match := _LINE.match(line):
            indent, name, value, explanation = match.groups()
            parents[len(indent) // 2 :] = [name]
            if value.strip():
                options[".".join(parents)] = Option(value.strip(), explanation or "")
    return header, defaults, options
