"""Format ``--help`` from the comments in conf/."""

from __future__ import annotations

import textwrap

from charrnn import plugins
from charrnn.cli import conf

_NOTES = """\
The value of a text or path option is literal. Quote spaces and special characters for the
shell: start_text="What's (this), Romeo?". Give several paths as a list:
"NAME=[one.txt,two.txt]". Hydra parses a value that is quoted twice: "NAME='...'".{unset}

-m, --multirun      run once for each value of NAME=1,2 (texts: "NAME='a','b'")
-c, --cfg job       print the options without running the command
-p, --package NAME  with --cfg: print only this group
--config-dir DIR    add a folder with {files}
--info, --hydra-help and the grammar of overrides: https://hydra.cc/docs/intro"""


def format_overview() -> str:
    """Return a line for each command, and examples."""
    pages = {command: conf.read_page(command) for command in plugins.list_commands()}
    lines = ["charrnn COMMAND [OPTION=VALUE ...]", ""]
    lines += [f"  {command:<12}{page.title}" for command, page in pages.items()]
    lines += ["", "For example:", ""]
    lines += [f"  {page.examples[0].partition('  #')[0].rstrip()}" for page in pages.values()]
    lines += ["", "charrnn COMMAND --help=all explains every option; charrnn --version."]
    return "\n".join(lines)


def format_help(command: str, show_all: bool = True, width: int | None = None) -> str:
    """Return a command's help in lines of `width`; without its groups unless `show_all`."""
    page = conf.read_page(command)
    title = f"charrnn {command} [OPTION=VALUE ...]: {page.title}"
    lines = [textwrap.fill(title, width or 1000), ""]
    examples = [example.partition("  # ") for example in page.examples]
    lines += _format_table([(line.rstrip(), note.strip()) for line, _, note in examples], width, 60)
    if page.groups and not show_all:
        count = len(page.list_names())
        lines += ["", f"charrnn {command} --help=all explains all {count} options."]
        return "\n".join(lines)
    rows: list[tuple[str, str]] = []
    for group, choices in page.groups.items():
        for choice, explanation in choices.items():
            default = " (the default)" if choice == page.defaults[group] else ""
            rows.append((f"{group}={choice}", explanation + default))
    if rows:
        lines += ["", "Choices (each sets a group of options):", "", *_format_table(rows, width)]
    tables = {"Options and their defaults": page.options}
    tables |= {f"Options added by {name}": added for name, added in page.choice_options.items()}
    for heading, options in tables.items():
        lines += ["", f"{heading}:", "", *_format_table(_make_rows(options), width)]
    unset = any(option.default == "null" for option in page.options.values())
    notes = _NOTES.format(
        unset="\nnull unsets an option whose default is null." if unset else "",
        files="your choices (GROUP/NAME.yaml)" if page.groups else "YAML files",
    )
    return "\n".join([*lines, "", notes])


def _make_rows(options: dict[str, conf.Option]) -> list[tuple[str, str]]:
    rows = []
    for name, (default, explanation) in options.items():
        if default == "???":
            default, explanation = "", f"{explanation} (required)"
        rows.append((f"{name}={default}", explanation))
    return rows


def _format_table(rows: list[tuple[str, str]], width: int | None, longest: int = 40) -> list[str]:
    column = max((len(left) for left, _ in rows if len(left) <= longest), default=0)
    lines = []
    for left, right in rows:
        start = f"  {left:<{column}}  "
        indent = " " * (column + 4)
        lines += textwrap.wrap(
            right, width or 1000, initial_indent=start, subsequent_indent=indent
        ) or [start.rstrip()]
    return lines
