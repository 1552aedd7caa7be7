"""A validation in a training, on one page.

1. Score the text with the network.
2. Mix the network with the counts of the training text, where they help.
3. Decide whether this network is the best so far.
4. Write a sample.
5. Write best.ckpt and model.safetensors if it is the best, then result.json and last.ckpt.

A kill in between repeats the whole validation, because the checkpoints come last. Nothing here
changes the training: not its state, not its random numbers.

The callbacks take part through methods. Any callback may have `on_validated`; the others are those
of charrnn's callbacks:

    prepare_logits(trainer, module)              returns the array for the logits that are mixed
    mix_counts(trainer, module, logits)          returns the mixture of network and counts
    write_sample(trainer, module, validation)    returns the text of a sample
    on_validated(trainer, module, validation)    called after a validation in a training
    write_result(trainer, module)                called before last.ckpt is written
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch.nn import functional as F

from charrnn.counts.mixing import Counts
from charrnn.data import SplitIds
from charrnn.errors import RunError
from charrnn.evaluation import compute_stream_loss, use_eval_mode
from charrnn.models.trained import (
    COMPARED_LOSS,
    COUNTS_LOSS,
    LOSS_AS_WRITTEN,
    WITH_COUNTS,
    TrainedModel,
)
from charrnn.networks.network import State, copy_weights
from charrnn.options.training import BEST_LOSS, BEST_LOSS_AS_WRITTEN
from charrnn.say import BITS_PER_NAT
from charrnn.training.datamodule import WholeText, as_window

# The logits that are mixed with counts take 16 MB. With a vocabulary of 65, these are 129,000
# characters.
MAX_LOGITS = 1 << 23
MAX_LOSS = 20.0  # nats per character; a higher validation loss means that training diverged


class Mixture(NamedTuple):
    """The network mixed with counts. Losses are in nats per character, on the same characters."""

    counts: Counts
    network_loss: float
    counts_loss: float
    loss: float
    facts: dict[str, Any]  # what was counted, for the model file

    @property
    def helps(self) -> bool:
        return self.loss < self.network_loss


@dataclass(frozen=True)
class BestValidation:
    """The lowest validation loss so far (nats per character), and its step; step 0 means none.

    `loss_as_written` is the loss of the same network as the model writes.
    """

    loss: float = math.inf
    loss_as_written: float = math.inf
    step: int = 0

    @property
    def losses(self) -> dict[str, float]:
        """The two losses by the names under which they are logged."""
        return {BEST_LOSS_AS_WRITTEN: self.loss_as_written, BEST_LOSS: self.loss}


@dataclass(frozen=True)
class Validation:
    """The result of a validation in a training.

    Attributes:
        step: the number of trained steps.
        losses: by their names in the logs; empty if the module does not compute a loss.
        best: the lowest loss so far, including this one.
        model: the network as it was scored, with its counts if they help; None on other ranks.
        sample: a text of the model; None if none was written.
    """

    step: int
    losses: dict[str, float]
    best: BestValidation
    model: TrainedModel | None
    sample: str | None = None

    @property
    def is_best(self) -> bool:
        return self.best.step == self.step


class Validator:
    """Validates a `LanguageModel`. The module's hooks call the methods in their order.

    The loss is that of all batches, loaders and ranks, always computed in float32. The loss of the
    first characters is computed too. They are the same characters for all runs of a text, and the
    counts are mixed there. Outside of a training, a split is only scored and logged.
    """

    def __init__(self, module: Any, split: str) -> None:
        self.module, self.split, self.trainer = module, split, module.trainer
        self.is_fitting = is_fitting(self.trainer)
        self.mixture: Mixture | None = None
        self.weights: dict[str, Any] | None = None
        self.compared_loss: float | None = None  # the network's, on the characters of the mixture
        self._state: State | None = None
        # the losses of all characters and of the first characters, and their numbers
        self._sums = np.zeros(4)
        if self.is_fitting:
            module.check_finite()  # before scoring and sampling fail with another error
            if self.trainer.is_global_zero:
                # Averaged weights (callbacks=ema) are in place only while the text is scored.
                self.weights = copy_weights(module.network)

    def score(self, batch: Any) -> None:
        """Score a batch: a window, or a `WholeText`, of which each rank scores a part."""
        is_text = isinstance(batch, WholeText)
        self._sums += self._score_text(batch.ids) if is_text else self._score_window(batch)

    def _score_window(self, batch: Any) -> tuple[float, ...]:
        ids, targets, begins = as_window(batch)
        autocast = torch.autocast(self.module.device.type, enabled=False)
        with use_eval_mode(self.module.network), autocast:
            logits, self._state = self.module.network(ids, None if begins else self._state)
        logits = logits.flatten(0, 1).float()
        loss = F.cross_entropy(logits, targets.flatten(), reduction="sum").item()
        return loss, 0.0, targets.numel(), 0

    def _score_text(self, ids: SplitIds) -> tuple[float, ...]:
        """Score a text. In a training, mix the network with the counts."""
        module, trainer = self.module, self.trainer
        # An array for the logits; None on a rank that has no counts to mix.
        logits = call_hook(trainer, "prepare_logits") if self.is_fitting else None
        losses = np.zeros(min(len(ids) - 1, MAX_LOGITS // len(module.vocabulary)), np.float32)
        score = compute_stream_loss(
            module.network, ids, trainer.global_rank, trainer.world_size,
            threads=module.num_batch_shards * torch.get_num_threads(),  # on a CPU
            losses=losses,
            # Several ranks score a part each. Rank 0 then computes the logits in mix_counts.
            logits=logits if trainer.world_size == 1 else None,
        )  # fmt: skip
        if logits is not None:
            self.mixture = call_hook(trainer, "mix_counts", logits)
        first_count = 0 if trainer.global_rank else len(losses)  # of all ranks
        first_total = float(losses.sum(dtype=np.float64))
        return score.total, first_total, score.characters, first_count

    def _reduce(self) -> tuple[float | None, float | None]:
        """Return the mean losses of all characters and of the first ones, in nats per character.

        The first is None if there was no batch, the second if there was no whole text.
        """
        sums: Any = self._sums
        if self.trainer.world_size > 1:
            sums = torch.tensor(sums, device=self.trainer.strategy.root_device)
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")
        total, first_total, count, first_count = sums.tolist()
        loss = total / count if count else None
        if not first_count:
            return loss, None
        return loss, loss if first_count == count else first_total / first_count

    def decide(self) -> None:
        """Log the losses. In a training, decide whether this network is the best so far."""
        loss, self.compared_loss = self._reduce()
        as_written = None
        if self.is_fitting:  # Only rank 0 has the counts.
            as_written = self.compared_loss
            if self.mixture is not None and self.mixture.helps:
                as_written = self.mixture.loss
            as_written = self.trainer.strategy.broadcast(as_written)
        bits = None if loss is None else loss * BITS_PER_NAT
        units = {"loss": loss, "bits_per_character": bits, "loss_as_written": as_written}
        losses = {f"{self.split}/{n}": value for n, value in units.items() if value is not None}
        step = self.trainer.global_step
        self._log(losses)
        if self.is_fitting:
            best = self.module.best = choose_best(self.module.best, loss, as_written, step)
            if self.module.plateau_schedule is not None and loss is not None:
                self.module.plateau_schedule.step(loss)
            self._log(best.losses if best.step else {})
            self.validation = Validation(step, losses, best, self._make_model(as_written))

    def finish(self) -> None:
        """Write the sample, and tell the callbacks: the log, the progress, then the checkpoints."""
        if self.is_fitting:
            sample = call_hook(self.trainer, "write_sample", self.validation)
            # `RunCheckpoints` is the last one: it is a `Checkpoint`, which Lightning calls last.
            call_hook(self.trainer, "on_validated", replace(self.validation, sample=sample))

    def _log(self, losses: dict[str, float]) -> None:
        # validate() and test() return only values with logger=True. Those of a training are logged
        # by `TrainingLog`, because Lightning would log them under another step.
        has_logger = self.trainer.state.fn != "fit"
        for name, loss in losses.items():
            self.module.log(name, torch.tensor(loss, dtype=torch.float64), logger=has_logger)

    def _make_model(self, loss_as_written: float | None) -> TrainedModel | None:
        """Return the model as it writes, with the facts for its file."""
        if self.weights is None:
            return None
        facts, counts = self.module.facts, None
        if self.mixture is not None:
            losses = {COUNTS_LOSS: self.mixture.counts_loss, COMPARED_LOSS: self.compared_loss}
            facts = {**facts, **losses}
        if self.mixture is not None and self.mixture.helps:
            counts, facts = self.mixture.counts, {**facts, **self.mixture.facts, WITH_COUNTS: True}
        if loss_as_written is not None:
            facts = {**facts, LOSS_AS_WRITTEN: loss_as_written}
        architecture, vocabulary = self.module.network.architecture, self.module.vocabulary
        return TrainedModel(architecture, vocabulary, self.weights, facts, counts)


def choose_best(
    best: BestValidation, loss: float | None, loss_as_written: float | None, step: int
) -> BestValidation:
    """Return the best validation so far. Raise RunError if the loss is above `MAX_LOSS` or NaN."""
    if loss is None:
        return best
    if not loss <= MAX_LOSS:
        raise RunError(
            f"training diverged: after step {step:,} the validation loss is {loss:.4g} nats "
            f"per character; try a smaller optimizer.lr or trainer.gradient_clip_val"
        )
    if loss < best.loss:
        return BestValidation(loss, loss if loss_as_written is None else loss_as_written, step)
    return best


def call_hook(trainer: Any, name: str, *arguments: Any) -> Any:
    """Call a method in all callbacks that have it. Return the first result, or None."""
    hooks = [getattr(callback, name, None) for callback in trainer.callbacks]
    module = trainer.lightning_module
    results = [hook(trainer, module, *arguments) for hook in hooks if hook is not None]
    return next((result for result in results if result is not None), None)


def is_fitting(trainer: L.Trainer) -> bool:
    """Return whether a trainer fits, and does not only check the validation before."""
    return trainer.state.fn == "fit" and not trainer.sanity_checking
