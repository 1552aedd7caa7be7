"""Build the optimizer and the scheduler of a module, and describe them in its hyperparameters."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from charrnn.errors import InputError
from charrnn.text.vocabulary import Vocabulary

MakeOptimizer = Callable[..., Optimizer]
MakeSchedule = Callable[..., LRScheduler]


def build_optimizer(
    named: list[tuple[str, nn.Parameter]], make: MakeOptimizer, threads: int
) -> Optimizer:
    """Return the optimizer of the named parameters. Raise InputError if it cannot be made.

    Args:
        named: pairs of a name and a trained parameter.
        make: takes the parameters, or `named` as its argument `named_parameters`.
        threads: the CPU threads, for an optimizer with the argument `threads`.
    """
    function, given = _unwrap(make)
    accepted = inspect.signature(function).parameters
    options = {"threads": threads} if "threads" in accepted.keys() - given.keys() else {}
    parameters = named if "named_parameters" in accepted else [p for _, p in named]
    return _call("optimizer", make, parameters, options)


def build_scheduler(
    optimizer: Optimizer, make: MakeSchedule, lengths: Mapping[str, Callable[[], float]]
) -> LRScheduler:
    """Return the scheduler of an optimizer.

    Args:
        lengths: computes the scheduler's arguments, such as `total_steps`, by their names.
    """
    function, given = _unwrap(make)
    missing = inspect.signature(function).parameters.keys() - given.keys()
    options = {name: lengths[name]() for name in lengths.keys() & missing}
    if math.inf in options.values():
        name = describe_callable(make)["name"]
        raise InputError(
            f"schedule: {name} asks for total_steps, and the training has no end; give the trainer "
            f"max_steps or max_epochs"
        )
    return _call("schedule", make, optimizer, {name: int(n) for name, n in options.items()})


def describe_callable(make: Any) -> dict[str, Any]:
    """Return the name of a callable, and the keyword arguments if it is a partial."""
    function, keywords = _unwrap(make)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return {"name": f"{function.__module__}.{name}", **keywords}


def to_plain_hparams(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters as plain values, so that weights_only=True loads the checkpoint.

    Optimizer and schedule are described. Values that cannot be converted are left out.
    """
    factories = [name for name in ("optimizer", "schedule") if callable(hparams.get(name))]
    described = {name: describe_callable(hparams[name]) for name in factories}
    plain: dict[str, Any] = _to_plain({**hparams, **described})
    return plain


def _to_plain(value: Any) -> Any:
    """Return a copy that consists of plain values. Raise TypeError if this is impossible."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Vocabulary):
        return value.to_dict()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        converted = {}
        for name, item in value.items():
            with contextlib.suppress(TypeError):
                converted[name] = _to_plain(item)
        return converted
    if isinstance(value, (list, tuple)):
        return type(value)(_to_plain(item) for item in value)
    raise TypeError(f"{type(value).__name__} is not a plain value")


def _unwrap(make: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the callable that a partial wraps, and the keyword arguments that it sets."""
    return (make.func, make.keywords) if isinstance(make, functools.partial) else (make, {})


def _call(option: str, make: Callable[..., Any], target: Any, options: dict[str, Any]) -> Any:
    try:
        return make(target, **options)
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        name = describe_callable(make)["name"]
        raise InputError(f"{option}: {name} cannot be made: {error}") from error
