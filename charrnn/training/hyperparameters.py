"""Hyperparameters as plain values, which a checkpoint brings back with weights_only=True."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from charrnn.text.vocabulary import Vocabulary

_ABSENT = object()


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are plain, or can be said in plain ones; of the others, a warning."""
    found = {}
    for name, value in values.items():
        if name in ("optimizer", "schedule") and callable(value):
            found[name] = described(value)
        elif (kept := _plain(value)) is not _ABSENT:
            found[name] = kept
        else:
            rank_zero_warn(
                f"hyperparameter {name}: a {type(value).__name__} is no plain value, and "
                f"checkpoints do not keep it; give it to load_from_checkpoint again"
            )
    return found


def described(make: Any) -> dict[str, Any]:
    """What a callable is called, and the plain values that it, or a partial of it, is given."""
    keywords: dict[str, Any] = {}
    while isinstance(make, functools.partial):
        keywords = {**make.keywords, **keywords}
        make = make.func
    name = getattr(make, "__qualname__", type(make).__qualname__)
    kept = {key: _plain(value) for key, value in keywords.items()}
    return {
        "name": f"{make.__module__}.{name}",
        **{key: value for key, value in kept.items() if value is not _ABSENT},
    }


def _plain(value: Any) -> Any:
    """The value, if it is one that can be kept; else _ABSENT."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Vocabulary):
        return value.plain()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        kept = {key: _plain(inner) for key, inner in value.items()}
        return _ABSENT if any(inner is _ABSENT for inner in kept.values()) else kept
    if isinstance(value, (list, tuple)):
        inner = [_plain(part) for part in value]
        return _ABSENT if any(part is _ABSENT for part in inner) else type(value)(inner)
    return _ABSENT
