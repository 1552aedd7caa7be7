"""Hyperparameters as a checkpoint holds them: plain values, so that weights_only=True loads it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from charrnn.text.vocabulary import Vocabulary

# what is made by a callable, which a checkpoint describes and never makes
DESCRIBED = ("optimizer", "schedule")


def plain_hparams(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that plain values can say; of the others, a warning."""
    plain = {}
    for name, value in hparams.items():
        try:
            is_made = name in DESCRIBED and callable(value)
            plain[name] = describe(value) if is_made else _plain(value)
        except _NotPlainError:
            rank_zero_warn(
                f"hyperparameter {name}: a {type(value).__name__} is no plain value, and "
                f"checkpoints do not keep it; give it to load_from_checkpoint again"
            )
    return plain


def describe(make: Any) -> dict[str, Any]:
    """The name of a callable, and the plain keywords that it, or a partial of it, is given."""
    keywords: dict[str, Any] = {}
    while isinstance(make, functools.partial):
        keywords = {**make.keywords, **keywords}
        make = make.func
    name = getattr(make, "__qualname__", type(make).__qualname__)
    description = {"name": f"{make.__module__}.{name}"}
    for key, value in keywords.items():
        try:
            description[key] = _plain(value)
        except _NotPlainError:
            continue
    return description


class _NotPlainError(TypeError):
    """A value that no plain value can say."""


def _plain(value: Any) -> Any:
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
    raise _NotPlainError
