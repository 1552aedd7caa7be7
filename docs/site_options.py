"""mkdocs hook: list the fields of a dataclass of options, as the comments in conf/ explain them.

The line `<!-- options: NetworkOptions = charrnn train model. -->` in a page becomes the list.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import charrnn
from charrnn.cli.help_page import read_page

MARK = re.compile(r"<!-- options: (\w+) = charrnn (\w+)(?: (\w+\.))? -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    return MARK.sub(format_options, markdown)


def format_options(match: re.Match[str]) -> str:
    name, command, prefix = match.groups("")
    explained = read_page(command).options
    lines = [
        f"- `{field.name}={field.default!r}`: {explained[prefix + field.name].explanation}"
        for field in fields(getattr(charrnn, name))
    ]
    return "\n".join(["\n**Fields:**\n", *lines])
