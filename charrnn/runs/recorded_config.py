"""What a run was begun with, as plain data: it may be somebody else's.

Nothing of it is interpolated, imported or fetched here; `charrnn.cli.resuming` says what of it may
be built.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from charrnn.errors import InputError, one_line

Config = dict[str, Any]
MISSING = object()
LARGEST = 100_000  # tokens of JSON that a config may be


def plain(value: Any, source: str) -> Any:
    """A copy of plain values: texts, numbers, lists, and mappings of them.

    Raises:
        InputError: there is something else, or more than a config can hold, as where it
            refers to itself.
    """
    try:
        tokens = itertools.islice(json.JSONEncoder().iterencode(value), LARGEST)
        return json.loads("".join(tokens))  # which is no JSON where more than that was cut off
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: is no record of plain values ({one_line(error)})") from None


def escaped(value: Any, times: int = 1) -> Any:
    """Plain values as OmegaConf has to read them to leave them as they are.

    Args:
        times: how often they are resolved.
    """
    if isinstance(value, dict):
        return {name: escaped(part, times) for name, part in value.items()}
    if isinstance(value, list):
        return [escaped(part, times) for part in value]
    if value == "???":
        return "${oc.decode:\"'???'\"}"
    if isinstance(value, str):
        for _ in range(times):
            value = re.sub(r"(\\*)\$\{", lambda run: run[1] * 2 + r"\${", value)
    return value


def select(config: Any, key: str) -> Any:
    """The value of a dotted key; MISSING where there is none."""
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return MISSING
        config = config[part]
    return config
