"""Save and restore what an exact resume needs, and Lightning does not save."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import callbacks as ready_made
from torch import Tensor
from torch.optim import Optimizer

from charrnn.errors import InputError
from charrnn.networks.network import State

# Callbacks that change the training before its first step or between epochs. No checkpoint contains
# this.
INEXACT = (
    ready_made.StochasticWeightAveraging,
    ready_made.GradientAccumulationScheduler,
    ready_made.LearningRateFinder,
    ready_made.BaseFinetuning,
    ready_made.ModelPruning,
    ready_made.BatchSizeFinder,
)


def refuse_inexact(callbacks: Iterable[object]) -> None:
    """Raise InputError for a callback that does not resume exactly."""
    for callback in callbacks:
        if isinstance(callback, INEXACT):
            name = type(callback).__name__
            raise InputError(f"callbacks: {name} does not resume exactly; leave it out")


def collect_rank_states(state: State | None, device: torch.device, world_size: int) -> list[Any]:
    """Return the hidden and random-number states in rank order. All ranks must call this."""
    rank_state: dict[str, Any] = {
        # A view would store its whole base tensor in the checkpoint.
        "state": [[part.detach().cpu().clone() for part in layer] for layer in state or []],
        "cpu": torch.get_rng_state(),
    }
    if device.type != "cpu":
        rank_state[device.type] = torch.get_device_module(device).get_rng_state()
    rank_states: list[Any] = [rank_state]
    if world_size > 1:
        rank_states = [None] * world_size
        torch.distributed.all_gather_object(rank_states, rank_state)
    return rank_states


def restore_rank_state(rank_state: dict[str, Any], device: torch.device) -> State | None:
    """Set the random-number states and return the hidden state on `device`."""
    state: list[tuple[Tensor, ...]] = [
        tuple(part.to(device) for part in layer) for layer in rank_state["state"]
    ]
    torch.set_rng_state(rank_state["cpu"])
    if device.type != "cpu" and device.type in rank_state:
        torch.get_device_module(device).set_rng_state(rank_state[device.type])
    return state or None


def keep_options(optimizer: Optimizer) -> None:
    """Keep the options of an optimizer, such as its learning rate, when it loads a state."""
    groups = optimizer.state_dict()["param_groups"]
    optimizer.register_load_state_dict_pre_hook(lambda _, saved: {**saved, "param_groups": groups})
