"""Build the optimizer and the scheduler of a module, and clip gradients."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from charrnn.errors import InputError
from charrnn.training.hyperparameters import describe_callable

MakeOptimizer = Callable[..., Optimizer]
MakeSchedule = Callable[..., LRScheduler]


def build_optimizer(
    named: list[tuple[str, nn.Parameter]], make: MakeOptimizer, scaled: bool, threads: int
) -> Optimizer:
    """Return the optimizer of the named parameters.

    Args:
        named: pairs of a name and a trained parameter.
        make: takes the parameters, or `named` as its argument `named_parameters`.
        scaled: whether a GradScaler is used. Without one, the fused version of the optimizer is
            the default. With one, a fused optimizer unscales the gradients only after clipping.
        threads: the CPU threads, for an optimizer with the argument `threads`.

    Raises:
        InputError: the optimizer cannot be made with these arguments.
    """
    accepted, given = _inspect_arguments(make)
    options: dict[str, Any] = {}
    can_fuse = not scaled and all(p.device.type in ("cpu", "cuda") for _, p in named)
    if can_fuse and "fused" in accepted - given and "foreach" not in given:
        options["fused"] = True
    if "threads" in accepted - given:
        options["threads"] = threads
    parameters = named if "named_parameters" in accepted else [p for _, p in named]
    return _call_factory("optimizer", make, parameters, options)


def build_scheduler(
    optimizer: Optimizer, make: MakeSchedule, lengths: Mapping[str, Callable[[], float]]
) -> LRScheduler:
    """Return the scheduler of an optimizer.

    Args:
        lengths: computes the scheduler's arguments, such as `total_steps`, by their names.
    """
    accepted, given = _inspect_arguments(make)
    options = {name: lengths[name]() for name in lengths.keys() & (accepted - given)}
    if math.inf in options.values():
        name = describe_callable(make)["name"]
        raise InputError(
            f"schedule: {name} asks for total_steps, and the training has no end; give the trainer "
            f"max_steps or max_epochs"
        )
    options = {name: int(length) for name, length in options.items()}
    return _call_factory("schedule", make, optimizer, options)


def clip_gradients(
    optimizer: Optimizer, bound: float | None, algorithm: str | None = None
) -> Tensor:
    """Clip the gradients of an optimizer's parameters and return their norm () before clipping.

    Lightning's clipping rejects fused optimizers, which unscale gradients under a GradScaler. This
    is safe, because `build_optimizer` uses no fused optimizer with a GradScaler.

    Args:
        bound: the limit of the norm of all gradients, or with ``algorithm="value"`` of each
            element. None or 0 turns clipping off.
    """
    trained = (p for group in optimizer.param_groups for p in group["params"])
    parameters = [p for p in trained if p.grad is not None]
    norm: Tensor = nn.utils.get_total_norm([p.grad for p in parameters])
    if bound is not None and bound > 0:
        if algorithm == "value":
            nn.utils.clip_grad_value_(parameters, bound)
        else:
            nn.utils.clip_grads_with_norm_(parameters, bound, norm)
    return norm


def _inspect_arguments(make: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """Return the names of a callable's arguments, and the names that a partial already sets."""
    given: set[str] = set()
    while isinstance(make, functools.partial):
        given |= set(make.keywords)
        make = make.func
    return set(inspect.signature(make).parameters), given


def _call_factory(
    option: str, make: Callable[..., Any], target: Any, options: dict[str, Any]
) -> Any:
    try:
        return make(target, **options)
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        raise InputError(
            f"{option}: {describe_callable(make)['name']} cannot be made: {error}"
        ) from error
