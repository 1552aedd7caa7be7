"""What a resume needs beside weights and optimizer: carried vectors, random numbers, the place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from charrnn.network import State, joined


def saved(state: State | None, device: torch.device, world_size: int) -> list[dict[str, Any]]:
    """What each process goes on from, in the order of their ranks; all of them call this."""
    own = {
        # cloned: a view would keep its whole storage in the file
        "state": [[part.cpu().clone() for part in layer] for layer in state or []],
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }
    ranks: list[Any] = [own]
    if world_size > 1:
        ranks = [None] * world_size
        torch.distributed.all_gather_object(ranks, own)
    return ranks


def share(ranks: list[dict[str, Any]], rank: int, world_size: int) -> dict[str, Any]:
    """What one of several processes goes on from, saved by as many or, without dropout, by others.

    The rows of the carried state stand in the order of the ranks, as the streams do.
    """
    if len(ranks) == world_size:
        return ranks[rank]
    whole = joined([entry["state"] for entry in ranks])
    state = [[part.tensor_split(world_size)[rank] for part in layer] for layer in whole]
    # no random number is drawn without dropout, so any will do
    return {**ranks[0], "state": state}


def restore(entry: dict[str, Any], device: torch.device) -> State | None:
    """Put the random numbers back, and return the carried state."""
    state: list[tuple[Tensor, ...]] = [
        tuple(part.to(device) for part in layer) for layer in entry["state"]
    ]
    torch.set_rng_state(entry["cpu"])
    if device.type == "cuda" and entry["cuda"] is not None:
        torch.cuda.set_rng_state(entry["cuda"], device)
    return state or None


def require_fitting(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Refuse a saved state that a fused optimizer would read or write beyond its end.

    torch's kernels for these take it as given that a weight's averages are of its shape.

    Args:
        saved: as a checkpoint holds it.

    Raises:
        ValueError: it is not.
    """
    groups = [*optimizer.param_groups, *saved["param_groups"]]
    if not any(group.get("fused") for group in groups):
        return
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, state in saved["state"].items():
        for name, value in state.items():
            if value is None:
                continue
            shape = torch.Size() if name == "step" else weights[number].shape
            if not isinstance(value, Tensor) or value.shape != shape or not value.is_contiguous():
                raise ValueError(f"its optimizer's {name} {number} is not that of its weight")


def go_on_within_epoch(content: dict[str, Any]) -> None:
    """Let an epoch go on that ended with `max_steps`, or another stop, before its last window.

    Lightning counts it as complete where a checkpoint is saved after that, and would begin the
    next one. Of one that did end it would train an empty epoch more, where it counts steps only.

    Args:
        content: of a checkpoint, changed in place.
    """
    loops = content["loops"]["fit_loop"]
    ended = loops["epoch_loop.batch_progress"]["is_last_batch"]
    for counts in (loops["epoch_progress"]["total"], loops["epoch_progress"]["current"]):
        epochs = counts["started"]
        if epochs and counts["processed"] == epochs:
            # as a checkpoint has it that is saved at the epoch's end, or at one of its windows
            counts.update(processed=epochs if ended else epochs - 1, completed=epochs - 1)
