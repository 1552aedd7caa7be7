"""What an exact resume needs: carried state, random numbers, optimizers, the place in the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from charrnn.networks.network import State, concat_states
from charrnn.training.schedules import StepSchedule


def saved(state: State | None, device: torch.device, world_size: int) -> list[dict[str, Any]]:
    """What each process goes on from, in the order of their ranks; all of them call this."""
    own: dict[str, Any] = {
        # cloned: a view would keep its whole storage in the file
        "state": [[part.detach().cpu().clone() for part in layer] for layer in state or []],
        "cpu": torch.get_rng_state(),
    }
    if device.type != "cpu":
        own[device.type] = torch.get_device_module(device).get_rng_state()
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
    whole = concat_states([entry["state"] for entry in ranks])
    state = [[part.tensor_split(world_size)[rank] for part in layer] for layer in whole]
    # no random number is drawn without dropout, so any will do
    return {**ranks[0], "state": state}


def restore(entry: dict[str, Any], device: torch.device) -> State | None:
    """Put the random numbers back, and return the carried state."""
    state: list[tuple[Tensor, ...]] = [
        tuple(part.to(device) for part in layer) for layer in entry["state"]
    ]
    torch.set_rng_state(entry["cpu"])
    if device.type != "cpu" and device.type in entry:
        torch.get_device_module(device).set_rng_state(entry[device.type])
    return state or None


def require_fitting(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Raise ValueError for a saved state that a fused optimizer would read beyond its end.

    torch's kernels for these take it as given that a weight's averages are of its shape.
    """
    if not any(group.get("fused") for group in (*optimizer.param_groups, *saved["param_groups"])):
        return
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, state in saved["state"].items():
        for name, value in state.items():
            shape = torch.Size() if name == "step" else weights[number].shape
            if value is not None and (value.shape != shape or not value.is_contiguous()):
                raise ValueError(f"its optimizer's {name} {number} is not that of its weight")


def prepare_optimizers(content: dict[str, Any], made: Any) -> None:
    """Let what a checkpoint holds of optimizers and schedules be what today's go on with.

    Of schedules of the step alone it is the step that counts, and what today's options say.

    Args:
        content: of a checkpoint, changed in place.
        made: what ``configure_optimizers`` returns today.

    Raises:
        ValueError: an optimizer's state does not fit.
    """
    optimizers, schedulers = _all_of(Optimizer, made), _all_of(LRScheduler, made)
    of_step = all(isinstance(scheduler, StepSchedule) for scheduler in schedulers)
    for optimizer, saved in zip(optimizers, content["optimizer_states"], strict=False):
        require_fitting(optimizer, saved)
        if of_step:
            saved["param_groups"] = optimizer.state_dict()["param_groups"]
    if schedulers and of_step:
        states = content.get("lr_schedulers") or [{} for _ in schedulers]
        step = content["global_step"]
        content["lr_schedulers"] = [{**state, "last_epoch": step} for state in states]


def _all_of(kind: type, made: Any) -> list[Any]:
    """All of a kind in what configure_optimizers returns, in any form that Lightning takes."""
    if isinstance(made, kind):
        return [made]
    if isinstance(made, Mapping):
        made = list(made.values())
    parts = made if isinstance(made, (list, tuple)) else ()
    return [one for part in parts for one in _all_of(kind, part)]


def validation_is_due(trainer: L.Trainer, epoch: int, window: int, trained: int) -> bool:
    """Whether one follows on so many windows of an epoch (counted from 0), so many in all."""
    every = trainer.check_val_every_n_epoch
    if not trainer.enable_validation or (every is not None and (epoch + 1) % every):
        return False
    # None where the clock decides
    interval = trainer.val_check_batch
    return bool(interval) and (trained if every is None else window) % interval == 0


def set_progress(content: dict[str, Any], trainer: L.Trainer) -> None:
    """Let Lightning go on with the counts that an uninterrupted run has there.

    This is needed for a run that is stopped on an epoch's last batch, resumed, stopped again and
    resumed again. Without it, only such a run ends with other weights.

    Checkpoints are saved behind a window, behind the validation that follows it, at an epoch's
    end and after a fit. Lightning goes on from each in another way, and from some with counts that
    no uninterrupted run has, which choose a wrong order of the text at the next resume. Here there
    are two ways, and every count is a plain function of the place: behind a window, where the
    epoch's end still comes (`on_train_epoch_end`), and between two epochs, where it is over.

    A validation that is due behind the window and had not begun comes first.

    Args:
        content: of a checkpoint, changed in place.
        trainer: which goes on from it.
    """
    loops = content["loops"]["fit_loop"]
    epochs, windows = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
    validations = loops["epoch_loop.val_loop.batch_progress"]
    optimizer = loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    trained, window = (windows[name]["processed"] for name in ("total", "current"))
    waits = windows["total"]["completed"] < trained
    begun, is_last = epochs["total"]["started"], windows["is_last_batch"]
    # a fit that ends before an epoch's last window counts that epoch as processed, too
    between = epochs["total"]["processed"] == begun and (is_last or not window)
    ended = begun if between else begun - 1
    if between:
        window, waits, windows["is_last_batch"] = 0, False, False
        for progress in (loops["epoch_loop.scheduler_progress"], *optimizer.values()):
            _set(progress["current"], 0)

    trainer.fit_loop.setup_data()
    due = validation_is_due(trainer, ended, window, trained)
    for name in ("total", "current"):
        epochs[name].update(ready=begun, started=begun, processed=ended, completed=ended)
    _set(windows["total"], trained)
    _set(windows["current"], window)
    validated = 0 if between else validations["total"]["completed"]
    _set(validations["total"], validated)
    if due and waits:
        # as if it had been cut off in its midst
        validations["total"].update(ready=validated + 1, started=validated + 1)
        _set(validations["current"], 0)
    # Lightning counts the step when it has passed the place of a validation, which it does again
    # where one is due, unless it counts epochs and begins with a new one
    passes = due and not (between and trainer.max_steps == -1)
    steps = is_last or window % trainer.accumulate_grad_batches == 0
    counted = content["global_step"] - (passes and steps)
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = counted


def tidy_progress(content: dict[str, Any]) -> None:
    """Leave out of a checkpoint that Lightning counts a validation twice that it goes back to."""
    loops = content["loops"]["fit_loop"]
    counts = loops["epoch_loop.val_loop.batch_progress"]["total"]
    _set(counts, counts["completed"])


def _set(counts: dict[str, int], value: int) -> None:
    counts.update(dict.fromkeys(counts, value))
