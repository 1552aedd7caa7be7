"""Convert hyperparameters to plain values, so that weights_only=True can load a checkpoint."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charrnn.text.vocabulary import Vocabulary

# Factories, of which a checkpoint contains only a description.
DESCRIBED = ("optimizer", "schedule")


def to_plain_hparams(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters as plain values, without the ones that cannot be converted."""
    described = {n: describe_callable(hparams[n]) for n in DESCRIBED if callable(hparams.get(n))}
    return _convert_items({**hparams, **described})


def describe_callable(make: Any) -> dict[str, Any]:
    """Return the name of a callable, and the plain keyword arguments if it is a partial."""
    keywords: dict[str, Any] = {}
    while isinstance(make, functools.partial):
        keywords = {**make.keywords, **keywords}
        make = make.func
    name = getattr(make, "__qualname__", type(make).__qualname__)
    return {"name": f"{make.__module__}.{name}", **_convert_items(keywords)}


def _convert_items(values: Mapping[str, Any]) -> dict[str, Any]:
    converted = {}
    for name, value in values.items():
        with contextlib.suppress(TypeError):
            converted[name] = _to_plain(value)
    return converted


def _to_plain(value: Any) -> Any:
    """Return a copy that consists of plain values. Raise TypeError if this is impossible."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Vocabulary):
        return value.to_dict()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_plain(item) for item in value)
    raise TypeError(f"{type(value).__name__} is not a plain value")
