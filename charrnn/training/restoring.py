"""Restore hidden state, random-number states and optimizers for an exact resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from charrnn.models.trained import concat_states
from charrnn.networks.network import State
from charrnn.training.schedules import StepSchedule


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


def check_optimizer_state(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Raise ValueError if a saved state does not have the shapes of its parameters.

    torch's fused kernels do not check this, and would read past the end of a smaller tensor.
    """
    if not any(group.get("fused") for group in (*optimizer.param_groups, *saved["param_groups"])):
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, values in saved["state"].items():
        for name, value in values.items():
            shape = torch.Size() if name == "step" else parameters[index].shape
            if value is not None and (value.shape != shape or not value.is_contiguous()):
                raise ValueError(f"the optimizer's {name} {index} has not its parameter's shape")


def convert_optimizer_states(checkpoint: dict[str, Any], configured: Any) -> None:
    """Convert the saved optimizer and scheduler states to match the current options.

    Schedules that depend only on the step resume at the saved step with the current options,
    such as a new learning rate. All other schedules resume exactly as they were saved.

    Args:
        checkpoint: changed in place.
        configured: the return value of `configure_optimizers`.

    Raises:
        ValueError: a saved state does not fit its optimizer.
    """
    optimizers = _find_instances(Optimizer, configured)
    schedulers = _find_instances(LRScheduler, configured)
    depend_on_step_only = all(isinstance(scheduler, StepSchedule) for scheduler in schedulers)
    for optimizer, saved in zip(optimizers, checkpoint["optimizer_states"], strict=False):
        check_optimizer_state(optimizer, saved)
        if depend_on_step_only:
            saved["param_groups"] = optimizer.state_dict()["param_groups"]
    if schedulers and depend_on_step_only and not checkpoint.get("lr_schedulers"):
        step = checkpoint["global_step"]
        checkpoint["lr_schedulers"] = [{"last_epoch": step} for _ in schedulers]


def _find_instances(cls: type, configured: Any) -> list[Any]:
    """Return all instances of `cls` in any form that `configure_optimizers` may return."""
    if isinstance(configured, cls):
        return [configured]
    if isinstance(configured, Mapping):
        configured = list(configured.values())
    parts = configured if isinstance(configured, (list, tuple)) else ()
    return [instance for part in parts for instance in _find_instances(cls, part)]
