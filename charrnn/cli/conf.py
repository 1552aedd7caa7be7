"""Read groups, choices, options and explanations from conf/ and the YAML files of extras.

Only comments in the YAML files explain an option; ``--help`` prints them. A YAML parser drops
comments and is slow to import, so this file reads ``name: value  # explanation`` line by line.
A name with a leading underscore (``_target_``) is not an option.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from charrnn import plugins
from charrnn.plugins import CONF

# groups without a config node: their choices set options of other groups
WITHOUT_A_NODE = ("experiment", "debug", "sweep")

_LINE = re.compile(r"( *)(\w+):(.*?)(?:\s#\s*(.*))?$")


class Option(NamedTuple):
    """An option's default as in YAML (``???`` if it is required), and its explanation."""

    default: str
    explanation: str


@dataclass
class Page:
    """The help page of a command.

    Attributes:
        title: a line that says what the command does.
        examples: command lines.
        groups: group -> choice -> explanation; the default choice is the first.
        defaults: group -> its default choice, or "null".
        options: dotted name -> Option, with the default choices.
        choice_options: "group=choice" -> the options that the default choice lacks.
        targets: dotted name of a node -> each ``_target_`` of its choices -> its arguments.
    """

    title: str
    examples: list[str]
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)
    choice_options: dict[str, dict[str, Option]] = field(default_factory=dict)
    targets: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    def list_names(self) -> list[str]:
        """Return every group and option."""
        names = [name for options in self.choice_options.values() for name in options]
        return list(dict.fromkeys([*self.groups, *self.options, *names]))


def read_page(command: str) -> Page:
    """Return the help page of a command."""
    header, defaults, options = _read(plugins.get_command(command).conf / f"{command}.yaml")
    folders = plugins.list_conf_folders(command)
    page = Page(
        title=header[0].removeprefix(f"charrnn {command}: "),
        examples=[line for line in header[1:] if line],
    )
    for group, default in defaults.items():
        paths = {p.stem: p for folder in reversed(folders) for p in (folder / group).glob("*.yaml")}
        if not paths or group.startswith("hydra"):
            continue
        page.defaults[group], page.groups[group] = default, {}
        for name in sorted(paths, key=lambda name: (name != default, name)):
            page.groups[group][name] = " ".join(_read(paths[name])[0])
            if group in WITHOUT_A_NODE:
                _add_targets(page.targets, _read(paths[name])[2])
                continue
            choice = {f"{group}.{n}": option for n, option in _read_choice(paths[name]).items()}
            _add_targets(page.targets, choice)
            choice = {n: o for n, o in choice.items() if not n.rpartition(".")[2].startswith("_")}
            if name == default:
                page.options |= choice
            elif new := {n: option for n, option in choice.items() if n not in page.options}:
                page.choice_options[f"{group}={name}"] = new
    hydra_options = {n: options.pop(n) for n in [*options] if n.startswith("hydra.")}
    page.options = {**options, **page.options, **hydra_options}
    return page


def _add_targets(targets: dict[str, dict[str, set[str]]], options: dict[str, Option]) -> None:
    for name, option in options.items():
        node, _, key = name.rpartition(".")
        if key == "_target_":
            arguments = targets.setdefault(node, {}).setdefault(option.default, set())
            arguments |= {n[len(node) + 1 :] for n in options if n.startswith(f"{node}.")}


def _read_choice(path: Path) -> dict[str, Option]:
    """Return the options of a group's choice, including those of its defaults list."""
    _, defaults, choice = _read(path)
    options: dict[str, Option] = {}
    for name in defaults:  # such as /base/model@_here_, or another choice of the same group
        name, _, _ = name.partition("@")
        base = CONF / name[1:] if name.startswith("/") else path.parent / name
        options |= _read_choice(base.with_suffix(".yaml"))
    for name, option in choice.items():
        inherited = options[name].explanation if name in options else ""
        options[name] = Option(option.default, option.explanation or inherited)
    return options


def _read(path: Path) -> tuple[list[str], dict[str, str], dict[str, Option]]:
    """Return a file's first comment, its defaults list and its options."""
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
