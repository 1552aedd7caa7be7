"""How a module's optimizer and schedule are made of the callables that it was given."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
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
    """The optimizer of trained weights.

    Args:
        named: the weights, with their names.
        make: takes the parameters, or as `named_parameters` pairs of their names and them.
        scaled: whether a GradScaler multiplies the gradients. Else a fused version is taken where
            there is one and nothing was said of it; under a scaler it would leave the clipping
            gradients that are scaled.
        threads: of a CPU, given to one that takes `threads`.

    Raises:
        InputError: it cannot be made so.
    """
    takes, given = _keywords(make)
    options: dict[str, Any] = {}
    fuses = not scaled and all(p.device.type in ("cpu", "cuda") for _, p in named)
    if fuses and "fused" in takes - given and "foreach" not in given:
        options["fused"] = True
    if "threads" in takes - given:
        options["threads"] = threads
    parameters = named if "named_parameters" in takes else [p for _, p in named]
    return _made("optimizer", make, parameters, options)


def build_scheduler(
    optimizer: Optimizer, make: MakeSchedule, lengths: Mapping[str, Callable[[], float]]
) -> LRScheduler:
    """The scheduler of an optimizer.

    Args:
        lengths: by name what is computed for a schedule that takes it, such as `total_steps`.

    Raises:
        InputError: it cannot be made so, or takes a length that nobody knows.
    """
    takes, given = _keywords(make)
    options = {name: lengths[name]() for name in lengths.keys() & (takes - given)}
    if math.inf in options.values():
        raise InputError(
            f"schedule: {describe_callable(make)['name']} asks for total_steps, and the trainer knows "
            f"no end; give it max_steps or max_epochs"
        )
    options = {name: int(length) for name, length in options.items()}
    return _made("schedule", make, optimizer, options)


def unscale_loss(loss: Tensor, trainer: L.Trainer) -> Tensor:
    """A loss () as training_step returned it: Lightning divides it, and a GradScaler multiplies."""
    if trainer.accumulate_grad_batches != 1:
        loss = loss * trainer.accumulate_grad_batches
    if trainer.scaler is not None:
        loss = loss / trainer.scaler.scale(torch.ones_like(loss))
    return loss


def clip_gradients(
    optimizer: Optimizer, bound: float | None, algorithm: str | None = None
) -> Tensor:
    """Clip the gradients of an optimizer's parameters; returns their norm () of before.

    Lightning's own way refuses fused optimizers, which are safe here: they unscale gradients only
    under a GradScaler, and then they are not fused.

    Args:
        bound: of the norm of all gradients, or with ``algorithm="value"`` of each element; None
            or 0: none.
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


def _keywords(make: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """The names that a callable, or what a partial calls, takes; and those that are given."""
    given: set[str] = set()
    while isinstance(make, functools.partial):
        given |= set(make.keywords)
        make = make.func
    return set(inspect.signature(make).parameters), given


def _made(option: str, make: Callable[..., Any], of: Any, options: dict[str, Any]) -> Any:
    try:
        return make(of, **options)
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        raise InputError(
            f"{option}: {describe_callable(make)['name']} cannot be made: {error}"
        ) from error
