"""What a run was begun with, as plain data: it may be somebody else's.

Nothing of it is interpolated, imported or fetched here; `charrnn.cli.resuming` says what of it may
be built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from charrnn.errors import InputError, shown

Config = dict[str, Any]
MISSING = object()
# what Hydra's instantiate reads of a node itself
OF_HYDRA = frozenset({"_target_", "_partial_", "_convert_", "_recursive_", "_args_"})

_DEEPEST, _MOST = 30, 100_000  # of nested values, and of values in all


def plain(value: Any, source: str) -> Any:
    """A copy of plain values: texts, numbers, lists, and mappings of them.

    Raises:
        InputError: there is something else, or more than a config can hold, as where it
            refers to itself.
    """
    left = _MOST

    def copied(value: Any, name: str, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise InputError(f"{source}: holds more values than any config, or refers to itself")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, list | tuple):
            return [copied(part, name, depth + 1) for part in value]
        if not isinstance(value, dict) or not all(type(key) in (str, int) for key in value):
            raise InputError(f"{source}: its {shown(name)} is no plain value")
        parts = ((str(key), part) for key, part in value.items())
        return {key: copied(part, f"{name}.{key}".lstrip("."), depth + 1) for key, part in parts}

    return copied(value, "", 0)


def found(config: Any, key: str) -> Any:
    """The value of a dotted key; MISSING where there is none."""
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return MISSING
        config = config[part]
    return config


def leaves(config: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys of a config with their values, those of mappings aside."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def put(config: Config, key: str, value: Any) -> None:
    """Set a dotted key, or remove it for MISSING; raises InputError where it is below a value."""
    *parents, last = key.split(".")
    for parent in parents:
        config = config.setdefault(parent, {})
        if not isinstance(config, dict):
            raise InputError(f"{shown(key)}: the run has no such option to change")
    if value is MISSING:
        config.pop(last, None)
    else:
        config[last] = value
