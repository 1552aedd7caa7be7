"""The help page of a command: read from the comments in YAML files, and formatted for `--help`.

Only comments in conf/ explain an option. A YAML parser drops
comments and is slow to import, so this file reads ``name: value  # explanation`` line by line. A
line without an explanation is not an option for users. Nothing but help and hints depends on it.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from charrnn import plugins

# groups without a config node: their choices set options of other groups
WITHOUT_A_NODE = ("experiment", "debug", "sweep")

_LINE = re.compile(r"( *)(\w+):(.*?)(?:\s#\s*(.*))?$")

_NOTES = """\
The value of a text or path option is literal. Quote spaces and special characters for the
shell: start_text="What's (this), Romeo?". Give several paths as a list:
"NAME=[one.txt,two.txt]". Hydra parses a value that is quoted twice: "NAME='...'".
null unsets an option whose default is null.

-m, --multirun      run once for each value of NAME=1,2 (texts: "NAME='a','b'")
-c, --cfg job       print the options without running the command
-p, --package NAME  with --cfg: print only this group
--config-dir DIR    add a folder with your choices (GROUP/NAME.yaml)
-cp DIR             take all YAML files from DIR, a changed copy of conf/ (absolute path)
--info, --hydra-help and the grammar of overrides: https://hydra.cc/docs/intro"""


class Option(NamedTuple):
    """An option of a command.

    Attributes:
        default: as in YAML; ``???`` if the option is required.
        only: the choice that has it, GROUP=CHOICE; "" if the default choice has it.
    """

    default: str
    explanation: str
    only: str = ""


@dataclass
class Page:
    """The help page of a command.

    Attributes:
        title: a line that says what the command does.
        examples: command lines.
        groups: group -> choice -> explanation; the default choice is the first.
        options: dotted name -> Option.
    """

    title: str
    examples: list[str]
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)


def read_page(command: str) -> Page:
    """Return the help page of a command."""
    header, defaults, options = _read(plugins.CONF / f"{command}.yaml")
    page = Page(
        title=header[0].removeprefix(f"charrnn {command}: "),
        examples=[line for line in header[1:] if line],
    )
    for group, default in defaults.items():
        paths = (plugins.CONF / group).glob("*.yaml")
        for path in sorted(paths, key=lambda path: (path.stem != default, path.stem)):
            is_default = path.stem == default
            explanation = " ".join(_read(path)[0]) + " (the default)" * is_default
            page.groups.setdefault(group, {})[path.stem] = explanation
            if group in WITHOUT_A_NODE:
                continue
            only = "" if is_default else f"{group}={path.stem}"
            for name, option in _read_choice(path).items():
                if option.explanation:
                    page.options.setdefault(f"{group}.{name}", option._replace(only=only))
    hydra_options = {n: options.pop(n) for n in [*options] if n.startswith("hydra.")}
    page.options = {**options, **page.options, **hydra_options}
    return page


def _read_choice(path: Path) -> dict[str, Option]:
    """Return the options of a group's choice, including those of its defaults list."""
    _, defaults, choice = _read(path)
    options: dict[str, Option] = {}
    for name in defaults:  # such as /base/model@_here_, or another choice of the same group
        name, _, _ = name.partition("@")
        base = plugins.CONF / name[1:] if name.startswith("/") else path.parent / name
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


def format_overview() -> str:
    """Return a line for each command, and examples."""
    pages = {command: read_page(command) for command in plugins.list_commands()}
    lines = ["charrnn COMMAND [OPTION=VALUE ...]", ""]
    lines += [f"  {command:<12}{page.title}" for command, page in pages.items()]
    lines += ["", "For example:", ""]
    lines += [f"  {page.examples[0].partition('  #')[0].rstrip()}" for page in pages.values()]
    lines += ["", "charrnn COMMAND --help explains every option; charrnn --version."]
    return "\n".join(lines)


def format_help(command: str) -> str:
    """Return a command's help in lines as wide as the terminal, if standard output is one."""
    page = read_page(command)
    lines = [f"charrnn {command} [OPTION=VALUE ...]: {page.title}", ""]
    lines += [f"  {example}" for example in page.examples]
    choices = [
        (f"{group}={choice}", explanation)
        for group, explanations in page.groups.items()
        for choice, explanation in explanations.items()
    ]
    if choices:
        lines += ["", "Choices (each sets a group of options):", "", *_format_table(choices)]
    lines += ["", "Options and their defaults:", "", *_format_table(_list_rows(page.options))]
    return "\n".join([*lines, "", _NOTES])


def _list_rows(options: dict[str, Option]) -> list[tuple[str, str]]:
    """Return each option with its default, and its explanation."""
    rows = []
    for name, (default, explanation, only) in options.items():
        note = " (required)" * (default == "???") + f" (only {only})" * bool(only)
        rows.append((f"{name}={default.replace('???', '')}", explanation + note))
    return rows


def _format_table(rows: list[tuple[str, str]]) -> list[str]:
    """Return two columns, of which the second is wrapped. A long cell moves the second one."""
    width = shutil.get_terminal_size((1000, 0)).columns
    column = max((len(left) for left, _ in rows if len(left) <= 40), default=0)
    lines = []
    for left, right in rows:
        start, indent = f"  {left:<{column}}  ", " " * (column + 4)
        lines += textwrap.wrap(right, width, initial_indent=start, subsequent_indent=indent)
    return lines
