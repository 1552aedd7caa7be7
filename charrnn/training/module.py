"""Train a network in Lightning by truncated backpropagation through time.

A checkpoint contains the hidden state and the random-number states of every rank. A resume restores
them at its first batch, because Lightning's start-up may draw random numbers before.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.parsing import AttributeDict
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from charrnn.errors import InputError, RunError
from charrnn.models.checkpoint import ENTRY, FORMAT_VERSION
from charrnn.models.trained import BY_CHARACTER, Architecture, TrainedModel
from charrnn.networks.network import Network, State, copy_weights, detach_state
from charrnn.options.cells import NetworkOptions
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import lightning_loops, optimizers, restoring
from charrnn.training.batch_shards import BatchShardedLoss, cross_entropy
from charrnn.training.datamodule import TextDataModule, as_window
from charrnn.training.log import TrainingLog
from charrnn.training.optimizers import to_plain_hparams
from charrnn.training.schedules import StepSchedule
from charrnn.training.validation import BestValidation, Validator

if TYPE_CHECKING:
    from charrnn.model import Model

ADAM = functools.partial(torch.optim.Adam, lr=2e-3)


class LanguageModel(L.LightningModule):
    """Trains a character-level network on windows ``(ids, targets, begins)``.

    Loggers and ``trainer.callback_metrics`` receive train/loss, val/loss (nats per character),
    val/bits_per_character and, of a `TextDataModule`, val/loss_as_written, the loss with counts if
    they lower it. val/best_loss is the lowest val/loss so far, and val/best_loss_as_written is the
    other loss of the same network. A loader may leave out `begins`: then each window starts from
    the zero state.

    Args:
        vocabulary: the characters, such as `TextDataModule.vocabulary`.
        optimizer: returns an optimizer for the parameters; the default is
            ``functools.partial(torch.optim.Adam, lr=2e-3)``. If it has an argument
            `named_parameters`, it receives pairs of name and parameter.
        schedule: returns a torch scheduler for the optimizer, which is stepped after each
            training step. It receives `total_steps` and `steps_per_epoch` if it has them.
        num_batch_shards: CPU threads over which the streams of a training step are sharded. Each
            thread uses one core. None means 1: the threads of torch share each operation.
        network: fields of `charrnn.NetworkOptions`, as `charrnn train --help` explains them:
            kind="gru", hidden_size=256, dropout=0.2 and more. `kind` is the name of a cell in
            `charrnn.CELLS`.

    To change the loss, override `compute_loss`; to change the step, override `training_step`. Its
    loss is logged and checked. An overridden hook must call ``super()``, or a resume is not exact.

    Raises:
        InputError: a value is out of its range.
        TypeError: an option does not exist, or an optimizer or a schedule is not callable.

    Attributes:
        state: the hidden state after the last window.
        best: the lowest validation loss so far.
    """

    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, Any],
        *,
        optimizer: optimizers.MakeOptimizer | Mapping[str, Any] | None = None,
        schedule: optimizers.MakeSchedule | Mapping[str, Any] | None = None,
        num_batch_shards: int | None = None,
        **network: Any,
    ) -> None:
        super().__init__()
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary.from_tokens(vocabulary["tokens"])
        given = {name: value for name, value in network.items() if value is not None}
        architecture = Architecture.of(NetworkOptions(**given), len(vocabulary))
        for name, make in (("optimizer", optimizer), ("schedule", schedule)):
            if not (make is None or callable(make) or isinstance(make, Mapping)):
                raise TypeError(f"{name}={make!r}: takes a functools.partial(CLASS, ...)")
        # A checkpoint has only descriptions (mappings) of them, which cannot be called.
        self.make_optimizer = optimizer if callable(optimizer) else ADAM
        self.make_schedule = schedule if callable(schedule) else None
        factories = {"optimizer": self.make_optimizer, "schedule": self.make_schedule}
        values = {"vocabulary": vocabulary, **asdict(architecture), **factories}
        del values["vocabulary_size"]  # follows from the vocabulary
        self.save_hyperparameters(to_plain_hparams(values), logger=False)
        self.vocabulary = vocabulary
        self.network = Network(architecture)
        self.num_batch_shards = num_batch_shards or 1
        self.state: State | None = None
        self.best = BestValidation()
        self._validator: Validator | None = None  # of the present validation or test
        self._sharded_loss: BatchShardedLoss | None = None
        self.plateau_schedule: ReduceLROnPlateau | None = None  # stepped by `Validator`
        self._rank_state: dict[str, Any] | None = None  # restored at the first batch of a resume

    @property
    def hparams_initial(self) -> AttributeDict:
        """The hyperparameters for loggers, as plain values. A subclass may save other values."""
        return AttributeDict(to_plain_hparams(super().hparams_initial))

    @property
    def lr(self) -> float | None:
        """The learning rate of the optimizer; None if it is the default of its class.

        Lightning's Tuner sets it to the rate that it chose.
        """
        return optimizers.describe_callable(self.make_optimizer).get("lr")

    @lr.setter
    def lr(self, lr: float) -> None:
        self.make_optimizer = functools.partial(self.make_optimizer, lr=lr)
        self.hparams["optimizer"] = optimizers.describe_callable(self.make_optimizer)

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the logits (N, T, V) of the next characters, and the detached state after ids."""
        logits, state = self.network(ids, state)
        return logits, detach_state(state)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        ids, targets, begins = as_window(batch)
        state = None if begins else self.state
        if self.num_batch_shards > 1:  # CPU threads share the streams
            loss, self.state = self._get_sharded_loss()(ids, targets, state)
        else:
            logits, self.state = self(ids, state)
            loss = self.compute_loss(logits, targets)
        return loss

    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss () of logits (N, T, V) for targets (N, T).

        Override this method to change the loss. N may be a shard of the batch. Validation does not
        use it: val/loss is always the cross-entropy, in nats per character.
        """
        return cross_entropy(logits, targets)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        assert self._validator is not None
        self._validator.score(batch)

    test_step = validation_step

    @property
    def scores_whole_text(self) -> bool:
        """Whether `validation_step` takes a `WholeText`: a subclass that overrides it does not."""
        return type(self).validation_step is LanguageModel.validation_step

    def load_initial(self, trained: TrainedModel) -> None:
        """Load the weights of a model whose vocabulary may differ.

        A character in both vocabularies gets the model's rows of the embedding and the decoder. A
        new character keeps its random rows, and the rows of other characters are dropped.
        """
        characters = self.vocabulary.characters
        ids = {c: i for i, c in enumerate(trained.vocabulary.characters)}
        shared = [i for i, c in enumerate(characters) if c in ids]
        weights = {name: torch.tensor(w) for name, w in trained.weights.items()}
        random_weights = self.network.state_dict()
        for name in BY_CHARACTER:
            rows = random_weights[name].clone()
            rows[shared] = weights[name][[ids[characters[i]] for i in shared]]
            weights[name] = rows
        self.network.load_state_dict(weights)

    def _get_sharded_loss(self) -> BatchShardedLoss:
        if self._sharded_loss is None or self._sharded_loss.network is not self.network:
            parameters = [p for _, p in self.get_trained_parameters()]
            self._sharded_loss = BatchShardedLoss(
                self.network, self.num_batch_shards, self.compute_loss, parameters
            )
        return self._sharded_loss

    def on_fit_start(self) -> None:
        if self.trainer.ckpt_path is None:
            self._rank_state = None  # which the Tuner may have left
            if not self.trainer.global_step:
                self.best = BestValidation()  # another Trainer may have trained this module

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self._rank_state is not None:
            self.state = restoring.restore_rank_state(self._rank_state, self.device)
            self._rank_state = None

    def check_finite(self) -> None:
        """Raise RunError if a weight is not finite, after a loss or a gradient that was not.

        This waits for the device, so it is called on logged steps only.
        """
        weights = torch.stack([p.detach().abs().sum() for p in self.network.parameters()])
        if not weights.isfinite().all():
            raise RunError(
                f"training diverged: after step {self.trainer.global_step:,} a weight is not "
                f"finite; try a smaller optimizer.lr or trainer.gradient_clip_val"
            )

    def configure_optimizers(self) -> Any:
        parameters = self.get_trained_parameters()
        optimizer = optimizers.build_optimizer(
            parameters, self.make_optimizer, self.num_batch_shards
        )
        self.plateau_schedule = None
        if self.make_schedule is None:
            restoring.keep_options(optimizer)
            return optimizer
        lengths = {  # functions, because only some schedules need them, and they prepare the data
            "total_steps": lambda: self.trainer.estimated_stepping_batches,
            "steps_per_epoch": lambda: self.steps_per_epoch,
        }
        scheduler = optimizers.build_scheduler(optimizer, self.make_schedule, lengths)
        config: dict[str, Any] = {"scheduler": scheduler, "interval": "step"}
        if isinstance(scheduler, StepSchedule):  # Others resume as they were saved.
            restoring.keep_options(optimizer)
        elif isinstance(scheduler, ReduceLROnPlateau):
            if not self.trainer.enable_validation:
                raise InputError("schedule: ReduceLROnPlateau needs validations, for val/loss")
            # Lightning would step it after the checkpoint of a validation. `Validator` steps it
            # before, and this frequency keeps Lightning from it.
            config |= {"monitor": "val/loss", "frequency": sys.maxsize}
            self.plateau_schedule = scheduler
        return {"optimizer": optimizer, "lr_scheduler": config}

    def get_trained_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Return the names and parameters of the network and of a subclass."""
        return [(name, p) for name, p in self.named_parameters() if p.requires_grad]

    @property
    def steps_per_epoch(self) -> int:
        """The number of training steps per epoch, once the trainer has a loader."""
        lightning_loops.set_up_training_data(self.trainer)
        batches = self.trainer.num_training_batches
        if batches == math.inf:  # the loader has no length
            return sys.maxsize
        return math.ceil(batches / self.trainer.accumulate_grad_batches)

    def format_epochs(self, steps: float) -> str:
        """Format a number of steps as epochs, rounded down: 5.97."""
        return f"{int(100 * steps) // self.steps_per_epoch / 100:,.2f}"

    def on_validation_epoch_start(self) -> None:
        self._validator = Validator(self, "val")

    def on_validation_epoch_end(self) -> None:
        assert self._validator is not None
        self._validator.decide()

    def on_validation_end(self) -> None:
        # In this hook, all callbacks have finished their part of the validation.
        assert self._validator is not None
        self._validator.finish()

    def on_test_epoch_start(self) -> None:
        self._validator = Validator(self, "test")

    on_test_epoch_end, on_test_end = on_validation_epoch_end, on_validation_end

    def configure_callbacks(self) -> list[Callback]:
        """Add a `TrainingLog` to the trainer if it has none."""
        trainer: Any = self.trainer
        callbacks: list[Callback] = trainer.callbacks
        if not any(isinstance(c, TrainingLog) for c in callbacks):
            callbacks.insert(0, TrainingLog())  # the other callbacks read the logged values
        return []

    @property
    def _is_attached(self) -> bool:
        """Whether the module has a Trainer."""
        try:
            return self.trainer is not None
        except RuntimeError:  # raised by Lightning if there is no Trainer
            return False

    @property
    def facts(self) -> dict[str, Any]:
        """Plain values that describe the training: the data, and the step of the weights.

        Empty without a Trainer: `charrnn.load` reads those of a checkpoint.
        """
        if not self._is_attached:
            return {}
        data, step = getattr(self.trainer, "datamodule", None), self.trainer.global_step
        return {
            **(data.facts if isinstance(data, TextDataModule) else {}),
            "parameters": self.network.architecture.num_parameters,
            "step": step,
            "epoch": step / self.steps_per_epoch if self.trainer.state.fn == "fit" else None,
            # known only if the latest validation was the best
            "val_loss": self.best.loss if self.best.step == step and step else None,
        }

    def to_model(self) -> Model:
        """Return a model with the current weights, for sampling and scoring."""
        from charrnn.model import Model  # for a fast start: not needed before the first step

        architecture, weights = self.network.architecture, copy_weights(self.network)
        return Model(TrainedModel(architecture, self.vocabulary, weights, self.facts))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._rank_state is not None:  # the resume has not trained a window yet
            self.state = restoring.restore_rank_state(self._rank_state, self.device)
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = to_plain_hparams(self.hparams)
        checkpoint.setdefault(ENTRY, {}).update(
            version=FORMAT_VERSION,
            architecture=self.network.architecture.to_dict(),
            tokens=self.vocabulary.to_tokens(),
            facts=self.facts,
            best_loss=self.best.loss,
            best_loss_as_written=self.best.loss_as_written,
            best_step=self.best.step,
            ranks=restoring.collect_rank_states(self.state, self.device, self.trainer.world_size),
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if not self._is_attached or self.trainer.state.fn != "fit":
            return
        entry = checkpoint[ENTRY]
        ranks, world_size = entry["ranks"], self.trainer.world_size
        if len(ranks) != world_size:
            raise InputError(f"resume with {len(ranks)} process(es), not with {world_size}")
        self._rank_state = ranks[self.trainer.global_rank]
        self.best = BestValidation(
            float(entry["best_loss"]), float(entry["best_loss_as_written"]), int(entry["best_step"])
        )
        if isinstance(getattr(self.trainer, "datamodule", None), TextDataModule):
            lightning_loops.set_progress(checkpoint, self.trainer)
        if not checkpoint["lr_schedulers"]:  # The run had no schedule until this resume.
            checkpoint["lr_schedulers"] = [{"last_epoch": checkpoint["global_step"]}]
