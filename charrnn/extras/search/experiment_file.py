"""Overrides as a file of conf/experiment/, which does what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from charrnn.cli import conf
from charrnn.errors import InputError


def written(overrides: Sequence[str], title: str) -> str:
    """The text of an experiment file.

    Raises:
        InputError: an override takes something out, which no file can.
    """
    groups = conf.page("train").groups
    choices: list[Any] = []
    options: dict[str, Any] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        name = override.key_or_group
        if override.is_delete():
            raise InputError(f"{override.input_line}: no experiment file can take something out")
        value = _plain(override)
        if name == "experiment":
            choices[:0] = value if isinstance(value, list) else [value]
        elif name in groups and not isinstance(value, dict):
            choices.append({f"override /{name}": value})
        else:
            _put(options, name.split("."), value)
    lists = {"defaults": choices} if choices else {}
    text = yaml.safe_dump({**lists, **options}, sort_keys=False, allow_unicode=True)
    return f"# @package _global_\n# {title}\n{text}"


def _plain(override: Override) -> Any:
    value = override.value()
    if isinstance(value, list | dict):
        return yaml.safe_load(yaml.safe_dump(value))
    return value


def _put(options: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    *parents, last = parts
    for parent in parents:
        options = options.setdefault(parent, {})
    options[last] = value
