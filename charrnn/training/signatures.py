"""What a callable can be given, and an optimizer that is given it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def parameters_of(make: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """The names that a callable, or what a partial calls, takes; and those that are given."""
    given: set[str] = set()
    while isinstance(make, functools.partial):
        given |= set(make.keywords)
        make = make.func
    return set(inspect.signature(make).parameters), given


def optimizer_of(
    named: list[tuple[str, nn.Parameter]],
    make: Callable[..., torch.optim.Optimizer],
    fuses: bool,
) -> torch.optim.Optimizer:
    """The optimizer of trained weights.

    Args:
        named: the weights, with their names.
        make: takes the parameters, or as `named_parameters` pairs of their names and them.
        fuses: whether to take a fused version where there is one and nothing was said of it.
    """
    takes, given = parameters_of(make)
    if "named_parameters" in takes:
        return make(named)
    options = (
        {"fused": True} if fuses and "fused" in takes - given and "foreach" not in given else {}
    )
    return make([p for _, p in named], **options)
