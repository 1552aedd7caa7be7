"""Where conf/ lies and what stands in it: groups, choices, options, defaults, explanations.

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

# each a page in conf/, and a module of `charrnn.commands`
COMMANDS = (
    "preprocess", "train", "runs", "tensorboard", "sample", "evaluate", "score", "inspect",
    "serve", "export", "convert",
)  # fmt: skip

_PACKAGE = Path(__file__).resolve().parents[1]
# beside the modules in an installed wheel, beside the package in a checkout
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

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
        targets: the dotted name of a node -> every ``_target_`` that a choice gives it.
    """

    title: str
    examples: list[str]
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)
    further: dict[str, dict[str, Option]] = field(default_factory=dict)
    targets: dict[str, set[str]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Every name that can stand left of an equals sign."""
        further = [name for options in self.further.values() for name in options]
        return list(dict.fromkeys([*self.groups, *self.options, *further]))


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
        if group in WITHOUT_A_NODE:
            continue
        for name in result.groups[group]:  # the default choice is the first
            own = {f"{group}.{n}": option for n, option in _chosen(folder, name).items()}
            for target in [n for n in own if n.endswith("._target_")]:
                result.targets.setdefault(target[: -len("._target_")], set()).add(
                    own[target].default
                )
            own = {n: o for n, o in own.items() if not n.rpartition(".")[2].startswith("_")}
            if name == choice:
                result.options |= own
            elif new := {n: option for n, option in own.items() if n not in result.options}:
                result.further[f"{group}={name}"] = new
    hydras = [name for name in options if name.startswith("hydra.")]
    last = {name: options.pop(name) for name in hydras}
    result.options = {**options, **result.options, **last}
    return result


def targets(group: str, choice: str) -> dict[str, str]:
    """The dotted name of each node that a choice brings, with its ``_target_``."""
    own = _chosen(CONF / group, choice)
    end = "._target_"
    named = {f"{group}.{name}": option.default for name, option in own.items()}
    return {name.removesuffix(end): target for name, target in named.items() if name.endswith(end)}


def _choices(folder: Path, default: str) -> dict[str, str]:
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    names.sort(key=lambda name: name != default)
    return {name: " ".join(_read(folder / f"{name}.yaml")[0]) for name in names}


def _chosen(folder: Path, choice: str) -> dict[str, Option]:
    """The options of a group's choice: the file's own laid over those of its defaults list."""
    _, defaults, own = _read(folder / f"{choice}.yaml")
    options: dict[str, Option] = {}
    for name in defaults:  # /base/model@_here_, or another choice of this group
        path, _, _ = name.partition("@")
        base = CONF / path[1:] if path.startswith("/") else folder / path
        options |= _chosen(base.parent, base.name)
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
