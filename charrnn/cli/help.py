"""``--help``, made from the comments in conf/."""

from __future__ import annotations

import textwrap

from charrnn import plugins
from charrnn.cli import conf

_NOTES = """\
Everything after the equals sign of a text or a path belongs to it. The shell wants quotes
around spaces and signs: start_text="What's (this), Romeo?". Several paths are one list:
"NAME=[one.txt,two.txt]". Hydra reads a value in quotes of its own, "'...'".{unset}

-m, --multirun      run once for each of NAME=1,2 and all combinations; texts: "NAME='a','b'"
-c, --cfg job       print the options as they would be, and do nothing else
-p, --package NAME  of these, print one group
--config-dir DIR    look here too for {where}
--info, --hydra-help and the grammar of overrides: https://hydra.cc/docs/intro"""


def overview() -> str:
    """The commands with a line each, and examples."""
    pages = {command: conf.page(command) for command in plugins.list_commands()}
    lines = ["charrnn COMMAND [OPTION=VALUE ...]", ""]
    lines += [f"  {command:<12}{page.title}" for command, page in pages.items()]
    lines += ["", "For example:", ""]
    lines += [f"  {page.examples[0].partition('  #')[0].rstrip()}" for page in pages.values()]
    lines += ["", "charrnn COMMAND --help=all explains every option; charrnn --version."]
    return "\n".join(lines)


def of(command: str, is_whole: bool = True, width: int | None = None) -> str:
    """Every option of a command with its default and a line of explanation.

    Args:
        is_whole: without, of a command with groups of options only what people use first.
        width: at which lines are broken.
    """
    page = conf.page(command)
    title = f"charrnn {command} [OPTION=VALUE ...]: {page.title}"
    lines = [textwrap.fill(title, width or 1000), ""]
    examples = [example.partition("  # ") for example in page.examples]
    lines += _table([(line.rstrip(), why.strip()) for line, _, why in examples], width, 60)
    if page.groups and not is_whole:
        all_of_them = f"charrnn {command} --help=all"
        return "\n".join([*lines, "", f"{all_of_them} explains all {len(page.names())} options."])
    rows: list[tuple[str, str]] = []
    for group, choices in page.groups.items():
        for choice, explanation in choices.items():
            default = " (the default)" if choice == page.defaults[group] else ""
            rows.append((f"{group}={choice}", explanation + default))
    if rows:
        lines += ["", "Choices, each of which sets a group of options:", "", *_table(rows, width)]
    lines += ["", "Options and their defaults:", "", *_table(_rows(page.options), width)]
    for choice, options in page.further.items():
        lines += ["", f"With {choice} also:", "", *_table(_rows(options), width)]
    unset = any(option.default == "null" for option in page.options.values())
    notes = _NOTES.format(
        unset=" The bare word null\nunsets an option whose default is null." if unset else "",
        where="choices of your own (GROUP/NAME.yaml)" if page.groups else "YAML files",
    )
    return "\n".join([*lines, "", notes])


def _rows(options: dict[str, conf.Option]) -> list[tuple[str, str]]:
    rows = []
    for name, option in options.items():
        required = option.default == "???"
        value = "" if required else option.default
        rows.append((f"{name}={value}", option.explanation + " (required)" * required))
    return rows


def _table(rows: list[tuple[str, str]], width: int | None, longest: int = 40) -> list[str]:
    column = max((len(left) for left, _ in rows if len(left) <= longest), default=0)
    lines = []
    for left, right in rows:
        start = f"  {left:<{column}}  "
        indent = " " * (column + 4)
        lines += textwrap.wrap(
            right, width or 1000, initial_indent=start, subsequent_indent=indent
        ) or [start.rstrip()]
    return lines
