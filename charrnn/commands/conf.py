"""Where conf/ lies and what stands in it: groups, choices, options, defaults, explanations.

The comments in the YAML files are the only place where an option is explained; ``--help``
and the suggestions for a misspelt name are read from there. A YAML parser drops comments
and takes its time to import, so the files are read line by line here: they keep to plain
``name: value  # explanation`` lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).resolve().parents[1]
# beside the modules in an installed wheel, beside the package in a checkout
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

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
    """

    title: str
    examples: list[str]
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Every name that can stand left of an equals sign."""
        return [*self.groups, *self.options]


def page(command: str) -> Page:
    """Read what `command` takes."""
    header, defaults, options = _read(CONF / f"{command}.yaml")
    result = Page(
        title=header[0].removeprefix(f"charrnn {command}: "),
        examples=[line for line in header[1:] if line],
    )
    for group, choice in defaults.items():
        folder = CONF / group
        if not folder.is_dir() or group.startswith("hydra"):
            continue
        result.defaults[group] = choice
        result.groups[group] = _choices(folder, choice)
        if choice != "null":
            for name, option in _chosen(folder, choice).items():
                result.options[f"{group}.{name}"] = option
    hydras = [name for name in options if name.startswith("hydra.")]
    last = {name: options.pop(name) for name in hydras}
    result.options = {**options, **result.options, **last}
    return result


def _choices(folder: Path, default: str) -> dict[str, str]:
    names = sorted(path.stem for path in folder.glob("*.yaml") if path.stem != "base")
    names.sort(key=lambda name: name != default)
    return {name: " ".join(_read(folder / f"{name}.yaml")[0]) for name in names}


def _chosen(folder: Path, choice: str) -> dict[str, Option]:
    """The options of a group's choice: the file's own laid over its base's."""
    _, defaults, own = _read(folder / f"{choice}.yaml")
    options = _chosen(folder, "base") if "base" in defaults else {}
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
