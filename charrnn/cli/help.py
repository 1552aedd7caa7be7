"""``--help``, made from the comments in conf/."""

from __future__ import annotations

from charrnn import plugins
from charrnn.cli import conf

_NOTES = """\
A text or a path is taken as it stands after the equals sign, character for character
(quote it for the shell only): start_text="What's (this), Romeo?". A value that is wholly in
quotes of its own is read by Hydra's grammar, and so is a [list,of,paths].{unset}

-m, --multirun      run once for each of NAME=1,2 and all combinations; texts: "NAME='a','b'"
-c, --cfg job       print the options as they would be, and do nothing else
-p, --package NAME  of these, print one group
--config-dir DIR    look here too for {where}
--info, --hydra-help and the grammar of overrides: https://hydra.cc/docs/intro"""


def overview() -> str:
    """The commands with a line each, and examples."""
    pages = {command: conf.page(command) for command in plugins.commands()}
    lines = ["charrnn COMMAND [OPTION=VALUE ...]", ""]
    lines += [f"  {command:<12}{page.title}" for command, page in pages.items()]
    lines += ["", "For example:", ""]
    lines += [f"  {page.examples[0]}" for page in pages.values()]
    lines += ["", "charrnn COMMAND --help explains every option; charrnn --version."]
    return "\n".join(lines)


def of(command: str) -> str:
    """Every option of a command with its default and a line of explanation."""
    page = conf.page(command)
    lines = [f"charrnn {command} [OPTION=VALUE ...]: {page.title}", ""]
    lines += [f"  {example}" for example in page.examples]
    rows: list[tuple[str, str]] = []
    for group, choices in page.groups.items():
        for choice, explanation in choices.items():
            default = " (the default)" if choice == page.defaults[group] else ""
            rows.append((f"{group}={choice}", explanation + default))
    if rows:
        lines += ["", "Choices, each of which sets a group of options:", "", *_table(rows)]
    lines += ["", "Options and their defaults:", "", *_table(_rows(page.options))]
    for choice, options in page.further.items():
        lines += ["", f"With {choice} also:", "", *_table(_rows(options))]
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


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(left) for left, _ in rows if len(left) <= 40), default=0)
    return [f"  {left:<{width}}  {right}".rstrip() for left, right in rows]
