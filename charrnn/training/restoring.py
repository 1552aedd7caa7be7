"""Save and restore what an exact resume needs, and Lightning does not save."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import callbacks as ready_made
from torch import Tensor
from torch.optim import Optimizer

from charrnn.errors import InputError
from charrnn.models.trained import concat_states
from charrnn.networks.network import State

# Callbacks that change the training before its first step or between epochs. No checkpoint contains
# this. The values say what to use instead of them.
INEXACT: dict[type, str] = {
    ready_made.StochasticWeightAveraging: " (callbacks=ema averages the weights, and resumes)",
    ready_made.GradientAccumulationScheduler: " (trainer.accumulate_grad_batches= resumes)",
    ready_made.LearningRateFinder: " (Tuner(trainer).lr_find(module, data) finds a rate before)",
    **dict.fromkeys((ready_made.BaseFinetuning, ready_made.ModelPruning), ""),
    ready_made.BatchSizeFinder: "",
}


def refuse_inexact(callbacks: Iterable[object]) -> None:
    """Raise InputError for a callback that does not resume exactly."""
    for callback in callbacks:
        for kind, hint in INEXACT.items():
            if isinstance(callback, kind):
                name = type(callback).__name__
                raise InputError(f"callbacks: {name} does not resume exactly; leave it out{hint}")


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


def select_rank_state(rank_states: list[Any], rank: int, world_size: int) -> dict[str, Any]:
    """Return the state from which this rank resumes.

    If the world size changed, split the hidden state across the new ranks; its rows are in rank
    order, like the streams. This is exact only without dropout, for which each rank draws random
    numbers.
    """
    if len(rank_states) == world_size:
        return rank_states[rank]
    state = concat_states((rank_state["state"] for rank_state in rank_states), torch.cat)
    shard = [[part.tensor_split(world_size)[rank] for part in layer] for layer in state]
    return {**rank_states[0], "state": shard}


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
