"""Hyperparameters as a checkpoint holds them: plain values, so that weights_only=True loads it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charrnn.text.vocabulary import Vocabulary

# what is made by a callable, which a checkpoint describes and never makes
DESCRIBED = ("optimizer", "schedule")


def to_plain_hparams(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that plain values can say; the others are left out."""
    return _plain_items(
        {
            n: describe_callable(v) if n in DESCRIBED and callable(v) else v
            for n, v in hparams.items()
        }
    )


def describe_callable(make: Any) -> dict[str, Any]:
    """The name of a callable, and the plain keywords that it, or a partial of it, is given."""
    keywords: dict[str, Any] = {}
    while isinstance(make, functools.partial):
        keywords = {**make.keywords, **keywords}
        make = make.func
    name = getattr(make, "__qualname__", type(make).__qualname__)
    return {"name": f"{make.__module__}.{name}", **_plain_items(keywords)}


def _plain_items(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for name, value in values.items():
        with contextlib.suppress(TypeError):
            plain[name] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    """A copy of plain values; TypeError for what they cannot say."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Vocabulary):
        return value.to_dict()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(inner) for inner in value)
    raise TypeError(f"{type(value).__name__} is no plain value")
