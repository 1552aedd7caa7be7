"""The network as Lightning trains it: truncated backpropagation through a carried state.

What makes a resume exact is here: the carried state and the random-number state of every
process are saved with the checkpoint, and put back at the first batch after it, when
nothing that Lightning does at start-up can disturb them any more.
"""

from __future__ import annotations

import functools
from typing import Any

import lightning as L
import torch
from torch import Tensor

from charrnn.errors import RunError
from charrnn.models.checkpoint import ENTRY
from charrnn.network import Network, State, joined
from charrnn.options import OptimizerOptions, ScheduleOptions
from charrnn.training.schedules import learning_rate
from charrnn.training.shares import SharedLoss, window_loss


class LanguageModel(L.LightningModule):
    """Trains a network on windows (ids, targets), each (N, T).

    Args:
        windows: steps in an epoch: the state starts at zero every so many steps.
        total_steps: steps in the whole run.
        shares: CPU threads that share out the streams of a step.
    """

    def __init__(
        self,
        network: Network,
        optimizer: OptimizerOptions,
        schedule: ScheduleOptions,
        *,
        windows: int,
        total_steps: int,
        fused: bool,
        shares: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = (
            SharedLoss(network, shares) if shares > 1 else functools.partial(window_loss, network)
        )
        self.optimizer_options = optimizer
        self.schedule = schedule
        self.windows = windows
        self.total_steps = total_steps
        self.fused = fused
        self.state: State | None = None
        self.last_loss: Tensor | None = None
        self.last_lr = optimizer.lr
        self._pending: dict[str, Any] | None = None
        self._first_bad_step: Tensor | None = None

    # -- a step --------------------------------------------------------------------

    def on_train_start(self) -> None:
        self._first_bad_step = torch.full((), torch.inf, device=self.device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self._pending is not None:
            self._restore(self._pending)
            self._pending = None
        step = self.trainer.global_step
        self.last_lr = learning_rate(
            step, self.optimizer_options.lr, self.schedule, self.windows, self.total_steps
        )
        for group in self._optimizer().param_groups:
            group["lr"] = self.last_lr

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        ids, targets = batch
        if self.trainer.global_step % self.windows == 0:
            self.state = None
        loss, self.state = self.loss(ids, targets, self.state)
        self.last_loss = loss.detach()
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning's own refuses fused optimizers, which are safe here: they unscale
        # gradients only under a GradScaler, and then `fused` is off
        parameters = [p for p in self.network.parameters() if p.grad is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._watch(norm)
        if gradient_clip_val is None:
            return
        if gradient_clip_algorithm == "norm":
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)
        else:
            torch.nn.utils.clip_grad_value_(parameters, gradient_clip_val)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        options = self.optimizer_options
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        values = _hyperparameters(options)
        if options.name == "rmsprop":
            return torch.optim.RMSprop(parameters, options.lr, foreach=True, **values)
        kind = torch.optim.AdamW if options.name == "adamw" else torch.optim.Adam
        return kind(parameters, options.lr, fused=self.fused, **values)

    def _optimizer(self) -> torch.optim.Optimizer:
        optimizer = self.trainer.optimizers[0]
        return optimizer

    # -- divergence ----------------------------------------------------------------

    def _watch(self, gradient_norm: Tensor) -> None:
        """Note the first step whose loss or gradient was not finite, without waiting for it."""
        assert self.last_loss is not None
        assert self._first_bad_step is not None
        # under a GradScaler an infinite gradient is a skipped step, not a divergence
        finite = torch.isfinite(self.last_loss)
        if self.trainer.scaler is None:
            finite = finite & torch.isfinite(gradient_norm)
        step = self.trainer.global_step + 1
        self._first_bad_step = torch.where(
            finite, self._first_bad_step, self._first_bad_step.clamp(max=step)
        )

    def check_finite(self) -> None:
        """Raise RunError if any loss or gradient so far, or a weight, was not finite."""
        assert self._first_bad_step is not None
        first = self._first_bad_step.clone()
        if self.trainer.world_size > 1:
            # one loss may be infinite alone, and all must stop
            torch.distributed.all_reduce(first, torch.distributed.ReduceOp.MIN)
        step = first.item()
        weights = torch.stack([p.detach().abs().sum() for p in self.network.parameters()])
        if step == torch.inf and not torch.isfinite(weights).all():
            step = self.trainer.global_step
        if step != torch.inf:
            raise RunError(
                f"training diverged: the loss or a gradient of step {int(step)} is not finite; "
                f"try a smaller optimizer.lr or trainer.gradient_clip_val"
            )

    # -- exact resume --------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = {"state": self._saved_state(), **_random_state(self.device)}
        ranks: list[Any] = [own]
        if self.trainer.world_size > 1:
            ranks = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(ranks, own)
        checkpoint.setdefault(ENTRY, {})["ranks"] = ranks

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        rank, processes = self.trainer.global_rank, self.trainer.world_size
        self._pending = _share(checkpoint[ENTRY]["ranks"], rank, processes)
        # a checkpoint brings its own hyperparameters; the config of this run is what counts
        fresh = self.configure_optimizers().state_dict()
        checkpoint["optimizer_states"][0]["param_groups"] = fresh["param_groups"]

    def _saved_state(self) -> list[list[Tensor]]:
        # cloned: a view would keep its whole storage in the file
        return [[part.cpu().clone() for part in layer] for layer in self.state or []]

    def _restore(self, saved: dict[str, Any]) -> None:
        state = [tuple(part.to(self.device) for part in layer) for layer in saved["state"]]
        self.state = state or None
        torch.set_rng_state(saved["cpu"])
        if self.device.type == "cuda" and saved["cuda"] is not None:
            torch.cuda.set_rng_state(saved["cuda"], self.device)


def _share(ranks: list[dict[str, Any]], rank: int, processes: int) -> dict[str, Any]:
    """What one of `processes` goes on from, saved by as many or, without dropout, by others.

    The rows of the carried state stand in the order of the ranks, as the streams do.
    """
    if len(ranks) == processes:
        return ranks[rank]
    whole = joined([saved["state"] for saved in ranks])
    state = [[part.tensor_split(processes)[rank] for part in layer] for layer in whole]
    # no random number is drawn without dropout, so any will do
    return {**ranks[0], "state": state}


def _hyperparameters(options: OptimizerOptions) -> dict[str, Any]:
    if options.name == "rmsprop":
        return {
            "alpha": options.alpha,
            "eps": options.eps,
            "weight_decay": options.weight_decay,
        }
    return {
        "betas": (options.beta1, options.beta2),
        "eps": options.eps,
        "weight_decay": options.weight_decay,
    }


def _random_state(device: torch.device) -> dict[str, Tensor | None]:
    on_gpu = device.type == "cuda"
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if on_gpu else None,
    }
