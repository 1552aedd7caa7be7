"""The network as Lightning trains it: truncated backpropagation through a carried state.

What makes a resume exact is here: the carried state and the random-number state of every
process are saved with the checkpoint, and put back at the first batch after it, when
nothing that Lightning does at start-up can disturb them any more.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.parsing import AttributeDict
from torch import Tensor, nn
from torch.optim import Optimizer

from charrnn.models.checkpoint import ENTRY, FORMAT_VERSION
from charrnn.models.trained import Architecture, TrainedModel
from charrnn.networks.network import Network, State, copy_weights, count_parameters, detach_state
from charrnn.options.networks import NetworkOptions
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import optimizers, restoring
from charrnn.training.batch_shards import BatchShardedLoss, cross_entropy, require_scalar
from charrnn.training.datamodule import TextDataModule
from charrnn.training.divergence import BestValidation, NonFiniteGuard
from charrnn.training.hyperparameters import describe_callable, to_plain_hparams
from charrnn.training.log import TrainingLog
from charrnn.training.split_scores import SplitScores, as_window

if TYPE_CHECKING:
    from charrnn.model import Model

ADAM = functools.partial(torch.optim.Adam, lr=2e-3)


class LanguageModel(L.LightningModule):
    """Trains a character-level network on windows ``(ids, targets, begins)``.

    It reports train/loss, val/loss (nats per character) and val/bits_per_character to loggers and
    ``trainer.callback_metrics``. Loaders of one's own may leave out `begins`: then each window
    begins at the zero state.

    Args:
        vocabulary: the characters; `TextDataModule.vocabulary` has them.
        optimizer: makes the optimizer of the parameters, such as
            ``functools.partial(torch.optim.Adam, lr=2e-3)``, which is the default. Where torch
            has a fused version it is taken, unless `fused` or `foreach` say otherwise. One that
            takes `named_parameters` is given pairs of a name and a parameter.
        schedule: makes a torch scheduler of the optimizer, which is stepped after each
            training step; it is given `total_steps` and `steps_per_epoch` if it takes them.
        num_batch_shards: CPU threads over which the streams of a training step are sharded. Each
            thread computes with as many cores as torch is set to (`torch.set_num_threads`).
        network: fields of `charrnn.NetworkOptions`, as `charrnn train --help=all` explains them:
            kind="gru", hidden_size=256, dropout=0.2 and more. `kind` is a cell of
            `charrnn.options.cells.CELLS`, or one that was registered (`charrnn.register_cell`).

    For another loss, override `compute_loss`; for another step, `training_step`. What that
    returns is what is logged and watched, and no gradient flows through `state` into the window
    before. A hook that stands here and is overridden calls ``super()`` first, as ever.

    Raises:
        InputError: a value is out of its range.
        TypeError: there is no option of a name, or an optimizer or a schedule cannot be called.

    Attributes:
        state: the carried state after the last window.
        best: the lowest validation loss so far.
        validation_logits: a callback puts it here before a validation, which fills it.
    """

    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, Any],
        *,
        optimizer: optimizers.MakeOptimizer | Mapping[str, Any] | None = None,
        schedule: optimizers.MakeSchedule | Mapping[str, Any] | None = None,
        num_batch_shards: int = 1,
        **network: Any,
    ) -> None:
        super().__init__()
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary.from_dict(vocabulary)
        architecture = Architecture.of(NetworkOptions(**network), len(vocabulary))
        for name, make in (("optimizer", optimizer), ("schedule", schedule)):
            if not (make is None or callable(make) or isinstance(make, Mapping)):
                raise TypeError(f"{name}={make!r}: takes a functools.partial(CLASS, ...)")
        # what a checkpoint describes is a mapping, of which nothing is made
        self.make_optimizer = optimizer if callable(optimizer) else ADAM
        self.make_schedule = schedule if callable(schedule) else None
        self.save_hyperparameters(
            {
                "vocabulary": vocabulary.to_dict(),
                **{n: v for n, v in asdict(architecture).items() if n != "vocabulary_size"},
                "optimizer": describe_callable(self.make_optimizer),
                "schedule": self.make_schedule and describe_callable(self.make_schedule),
            },
            logger=False,
        )
        self.vocabulary = vocabulary
        self.network = Network(architecture)
        self.num_batch_shards = num_batch_shards
        self.state: State | None = None
        self.best = BestValidation()
        self.last_loss: Tensor | None = None
        self.last_norm: Tensor | None = None  # of the gradient, before it was clipped
        self.last_lr = 0.0
        self.non_finite = NonFiniteGuard()
        self.validation_logits: npt.NDArray[np.float16] | None = None
        self._sharded_loss: BatchShardedLoss | None = None
        self._pending: dict[str, Any] | None = None
        self._loaded_facts: dict[str, Any] = {}

    @property
    def hparams_initial(self) -> AttributeDict:
        """As Lightning hands them to loggers; plain values, whatever a subclass saves."""
        return AttributeDict(to_plain_hparams(super().hparams_initial))

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The logits (N, T, V) of the characters after ids (N, T), and the state after them."""
        logits, state = self.network(ids, state)
        return logits, state

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        ids, targets, begins = as_window(batch)
        state = None if begins else self.state
        if self.num_batch_shards > 1:
            loss, self.state = self._shards()(ids, targets, state)
        else:
            logits, after = self.network(ids, state)
            loss, self.state = self.compute_loss(logits, targets), detach_state(after)
        return loss

    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of logits (N, T, V) where the text has targets (N, T).

        The one method to override for another loss. N may be a part of a batch's streams, which
        are sharded over threads. Validation does not use it: val/loss is always the
        cross-entropy, in nats per character.
        """
        return cross_entropy(logits, targets)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._scores.add(batch)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._scores.add(batch)

    def _shards(self) -> BatchShardedLoss:
        if self._sharded_loss is None or self._sharded_loss.network is not self.network:
            parameters = [p for _, p in self.trained_parameters()]
            self._sharded_loss = BatchShardedLoss(
                self.network, self.num_batch_shards, self.compute_loss, parameters
            )
        return self._sharded_loss

    def on_fit_start(self) -> None:
        self.non_finite = NonFiniteGuard()
        if self._pending is None and not self.trainer.global_step:
            self.best = BestValidation()  # it may have been trained before, by another Trainer

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self._pending is not None:
            self.state = restoring.restore_rank_state(self._pending, self.device)
            self._pending = None

    def on_before_backward(self, loss: Tensor) -> None:
        require_scalar(loss)
        self.last_loss = optimizers.unscale_loss(loss.detach().reshape(()), self.trainer)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.state is not None:
            # a training_step of somebody's own need not know of it
            self.state = detach_state(self.state)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self.last_lr = optimizer.param_groups[0]["lr"]

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        norm = optimizers.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.last_norm = norm
        # under a GradScaler an infinite gradient is a skipped step, not a divergence
        watched = norm if self.trainer.scaler is None else None
        self.non_finite.record(self.last_loss, watched, self.trainer.global_step + 1)

    def check_finite(self) -> None:
        """Raise RunError if any loss or gradient so far, or a weight, was not finite."""
        self.non_finite.check(self.network, self.trainer.global_step, self.trainer.world_size)

    def configure_optimizers(self) -> Any:
        named, scaled = self.trained_parameters(), self.trainer.scaler is not None
        optimizer = optimizers.build_optimizer(
            named, self.make_optimizer, scaled, self.num_batch_shards
        )
        if self.make_schedule is None:
            return optimizer
        lengths = {
            "total_steps": lambda: self.trainer.estimated_stepping_batches,
            "steps_per_epoch": lambda: self.steps_per_epoch,
        }
        scheduler = optimizers.build_scheduler(optimizer, self.make_schedule, lengths)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def trained_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What is trained: the network's parameters by its names, then a subclass's own."""
        own = [(n, p) for n, p in self.named_parameters() if not n.startswith("network.")]
        return [(n, p) for n, p in (*self.network.named_parameters(), *own) if p.requires_grad]

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in an epoch, once the trainer has a loader."""
        self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        if batches == math.inf:  # a loader without a length, or none is asked for
            return sys.maxsize
        return math.ceil(batches / self.trainer.accumulate_grad_batches)

    def epochs(self, steps: float) -> str:
        """How many epochs so many steps are, never more than are done: 5.97."""
        return f"{int(100 * steps) // self.steps_per_epoch / 100:,.2f}"

    def on_validation_epoch_start(self) -> None:
        if self._is_fitting():
            self.check_finite()  # or scoring and sampling would be slow, and fail in other words
        self._scores = SplitScores(self, self.validation_logits)

    def on_test_epoch_start(self) -> None:
        self._scores = SplitScores(self)

    def on_validation_epoch_end(self) -> None:
        loss = self._scores.log("val")
        if loss is not None and self._is_fitting():
            self.best.update(loss, self.trainer.global_step)

    def on_test_epoch_end(self) -> None:
        self._scores.log("test")

    def _is_fitting(self) -> bool:
        return self.trainer.state.fn == "fit" and not self.trainer.sanity_checking

    def configure_callbacks(self) -> list[Callback]:
        """Lightning's way to let a module bring a callback: training is logged in any Trainer."""
        callbacks: list[Callback] = self.trainer.callbacks
        if not any(isinstance(c, TrainingLog) for c in callbacks):
            callbacks.insert(0, TrainingLog())  # what it logs is there when the others read it
        return []

    @property
    def _is_attached(self) -> bool:
        """Whether there is a Trainer."""
        try:
            return self.trainer is not None
        except RuntimeError:  # as Lightning tells it
            return False

    @property
    def facts(self) -> dict[str, Any]:
        """Plain values about how the weights came to be."""
        if not self._is_attached:
            return self._loaded_facts
        data, step = getattr(self.trainer, "datamodule", None), self.trainer.global_step
        return {
            **(data.facts if isinstance(data, TextDataModule) else {}),
            "parameters": count_parameters(self.network),
            "step": step,
            "epoch": step / self.steps_per_epoch if self.trainer.state.fn == "fit" else None,
            "val_loss": self.best.loss if self.best.step == step and step else None,
        }

    def to_model(self) -> Model:
        """The model as it is, to sample from and to score with."""
        from charrnn.model import Model  # nothing is sampled before the first step

        architecture, weights = self.network.architecture, copy_weights(self.network)
        return Model(TrainedModel(architecture, self.vocabulary, weights, self.facts))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._pending is not None:
            # nothing was trained since what this goes on from
            self.state = restoring.restore_rank_state(self._pending, self.device)
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = to_plain_hparams(self.hparams)
        restoring.reset_validation_progress(checkpoint)
        checkpoint.setdefault(ENTRY, {}).update(
            version=FORMAT_VERSION,
            architecture=self.network.architecture.to_dict(),
            tokens=self.vocabulary.to_tokens(),
            facts=self.facts,
            best_loss=self.best.loss,
            best_step=self.best.step,
            ranks=restoring.collect_rank_states(self.state, self.device, self.trainer.world_size),
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        entry = checkpoint.get(ENTRY, {})
        self._loaded_facts = dict(entry.get("facts", {}))
        if not self._is_attached or self.trainer.state.fn != "fit":
            return
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        self._pending = restoring.select_rank_state(entry["ranks"], rank, world_size)
        self.best = BestValidation(float(entry["best_loss"]), int(entry["best_step"]))
        if isinstance(self.trainer.datamodule, TextDataModule):
            restoring.set_progress(checkpoint, self.trainer)
        restoring.convert_optimizer_states(checkpoint, self.configure_optimizers())
