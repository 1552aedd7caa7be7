"""The network as Lightning trains it: truncated backpropagation through a carried state.

What makes a resume exact is here: the carried state and the random-number state of every
process are saved with the checkpoint, and put back at the first batch after it, when
nothing that Lightning does at start-up can disturb them any more.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from charrnn.errors import InputError
from charrnn.evaluation import part_loss
from charrnn.evaluation.carried import KeptLogits
from charrnn.model import Model
from charrnn.models.checkpoint import ENTRY, FORMAT_VERSION
from charrnn.models.trained import Architecture, TrainedModel
from charrnn.network import Network, State, detached, make_network, weights_of
from charrnn.options.networks import NetworkOptions
from charrnn.say import BITS_PER_NAT
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import restoring
from charrnn.training.datamodule import TextDataModule, WholeText
from charrnn.training.divergence import Best, NonFiniteGuard
from charrnn.training.log import TrainingLog
from charrnn.training.optimizers import optimizer_of, parameters_of
from charrnn.training.schedules import OfStep
from charrnn.training.stream_threads import SharedLoss, require_one_number, text_loss, window_loss

_ABSENT = object()


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are plain, or can be said in plain ones; of the others, a warning."""
    found = {}
    for name, value in values.items():
        if name in ("optimizer", "schedule") and callable(value):
            found[name] = described(value)
        elif (kept := _plain(value)) is not _ABSENT:
            found[name] = kept
        else:
            rank_zero_warn(
                f"hyperparameter {name}: a {type(value).__name__} is no plain value, and "
                f"checkpoints do not keep it; give it to load_from_checkpoint again"
            )
    return found


def described(make: Any) -> dict[str, Any]:
    """What a callable is called, and the plain values that it, or a partial of it, is given."""
    keywords: dict[str, Any] = {}
    while isinstance(make, functools.partial):
        keywords = {**make.keywords, **keywords}
        make = make.func
    name = getattr(make, "__qualname__", type(make).__qualname__)
    kept = {key: _plain(value) for key, value in keywords.items()}
    return {
        "name": f"{make.__module__}.{name}",
        **{key: value for key, value in kept.items() if value is not _ABSENT},
    }


def _plain(value: Any) -> Any:
    """The value, if it is one that can be kept; else _ABSENT."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Vocabulary):
        return value.plain()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        kept = {key: _plain(inner) for key, inner in value.items()}
        return _ABSENT if any(inner is _ABSENT for inner in kept.values()) else kept
    if isinstance(value, (list, tuple)):
        inner = [_plain(part) for part in value]
        return _ABSENT if any(part is _ABSENT for part in inner) else type(value)(inner)
    return _ABSENT


LR = 2e-3

MakeOptimizer = Callable[..., torch.optim.Optimizer]
MakeSchedule = Callable[..., torch.optim.lr_scheduler.LRScheduler]


class LanguageModel(L.LightningModule):
    """Trains a character-level network on windows ``(ids, targets, begins)``.

    It reports train/loss, val/loss (nats per character) and val/bits_per_character to the
    trainer's loggers on its logged steps, and to ``trainer.callback_metrics``. Loaders of one's
    own may leave out `begins`: then each window begins at the zero state.

    Args:
        vocabulary: the characters; `TextDataModule.vocabulary` has them.
        optimizer: makes the optimizer of the parameters, such as
            ``functools.partial(torch.optim.Adam, lr=2e-3)``, which is the default. Where torch
            has a fused version it is taken, unless `fused` or `foreach` say otherwise. One that
            takes `named_parameters` is given pairs of a name and a parameter.
        schedule: makes a torch scheduler of the optimizer, which is stepped after each
            training step; it is given `total_steps` and `steps_per_epoch` if it takes them. A
            ReduceLROnPlateau is stepped with val/loss after each validation instead.
        network: fields of `charrnn.NetworkOptions`, as `charrnn train --help` explains them:
            kind="gru", hidden_size=256, dropout=0.2 and more. `kind` is a cell of
            `charrnn.cells.CELLS`, or a cell or a network that was registered
            (`charrnn.registry`).

    For another loss, override `compute_loss`; for another step, `training_step`. What that
    returns is what is logged and watched, and no gradient flows through `state` into the window
    before. A hook that stands here and is overridden calls ``super()`` first, as ever.

    Raises:
        InputError: a value is out of its range.
        TypeError: there is no option of a name.

    Attributes:
        state: the carried state after the last window.
        best: the lowest validation loss so far.
        hparams: plain values only; `optimizer` and `schedule` are described there, by name and
            keywords, and a checkpoint does not bring them back.
        stream_threads: CPU threads that share out the streams of a step.
        validation_logits: a callback puts it here before a validation, which fills it.
    """

    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, Any],
        *,
        optimizer: MakeOptimizer | Mapping[str, Any] | None = None,
        schedule: MakeSchedule | Mapping[str, Any] | None = None,
        **network: Any,
    ) -> None:
        super().__init__()
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary.from_plain(vocabulary)
        options = NetworkOptions(**network)
        architecture = Architecture.of(options, len(vocabulary))
        sizes = {**asdict(options), **asdict(architecture)}
        del sizes["vocabulary_size"]
        # what a checkpoint describes is a mapping, of which nothing is made
        adam = functools.partial(torch.optim.Adam, lr=LR)
        self.make_optimizer: MakeOptimizer = optimizer if callable(optimizer) else adam
        self.make_schedule: MakeSchedule | None = schedule if callable(schedule) else None
        made = {"optimizer": self.make_optimizer, "schedule": self.make_schedule}
        self.save_hyperparameters({"vocabulary": vocabulary, **sizes, **made}, logger=False)
        self.vocabulary = vocabulary
        self.network = make_network(architecture)
        self.stream_threads = 1
        self.state: State | None = None
        self.best = Best()
        self.last_loss: Tensor | None = None
        self.last_lr = 0.0
        self.non_finite = NonFiniteGuard()
        self.validation_logits: KeptLogits | None = None
        self._shared: SharedLoss | None = None
        self._pending: dict[str, Any] | None = None
        self._scores: dict[int, list[tuple[float, int]]] = {}
        self._loaded_facts: dict[str, Any] = {}

    def save_hyperparameters(
        self, *args: Any, ignore: Any = None, frame: FrameType | None = None, logger: bool = True
    ) -> None:
        """Lightning's, which takes plain values only: a checkpoint loads with weights_only=True."""
        caller = inspect.currentframe()
        frame = frame or (caller.f_back if caller is not None else None)
        super().save_hyperparameters(*args, ignore=ignore, frame=frame, logger=logger)
        values = plain(self.hparams)
        self.hparams.clear()
        super().save_hyperparameters(values, frame=frame, logger=logger)

    # -- a step --------------------------------------------------------------------

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The logits (N, T, V) of the characters after ids (N, T), and the state after them."""
        logits, state = self.network(ids, state)
        return logits, state

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self._pending is not None:
            self.state = restoring.restore(self._pending, self.device)
            self._pending = None

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        ids, targets, begins = _window(batch)
        loss, self.state = self._loss_of_window()(ids, targets, None if begins else self.state)
        return loss

    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of logits (N, T, V) where the text has targets (N, T).

        The one method to override for another loss. N may be a part of a window's streams, which
        threads share out. Validation does not use it: val/loss is always the cross-entropy, in
        nats per character.
        """
        return text_loss(logits, targets)

    def window_loss(
        self,
        network: Network,
        ids: Tensor,
        targets: Tensor,
        state: State | None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        """The mean loss of a window (ids and targets (N, T)), and the detached state after it."""
        return window_loss(network, ids, targets, state, generator, self.compute_loss)

    def _loss_of_window(self) -> Callable[..., tuple[Tensor, State]]:
        if self.stream_threads == 1:
            return functools.partial(self.window_loss, self.network)
        if self._shared is None or self._shared.network is not self.network:
            further = [p for _, p in self._further_parameters()]
            self._shared = SharedLoss(self.network, self.stream_threads, further=further)
        self._shared.window_loss = self.window_loss  # it may be another one by now
        return self._shared

    def on_before_backward(self, loss: Tensor) -> None:
        require_one_number(loss)
        # as training_step returned it: Lightning divides it, and a GradScaler multiplies
        returned = loss.detach().reshape(())
        if self.trainer.accumulate_grad_batches != 1:
            returned = returned * self.trainer.accumulate_grad_batches
        if self.trainer.scaler is not None:
            returned = returned / self.trainer.scaler.scale(torch.ones_like(returned))
        self.last_loss = returned

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.state is not None:
            # a training_step of somebody's own need not know of it
            self.state = detached(self.state)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.last_lr = optimizer.param_groups[0]["lr"]

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning's own refuses fused optimizers, which are safe here: they unscale
        # gradients only under a GradScaler, and then they are not fused
        trained = (p for group in optimizer.param_groups for p in group["params"])
        parameters = [p for p in trained if p.grad is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        loss = 0.0 if self.last_loss is None else self.last_loss  # no loss at all: a skipped step
        # under a GradScaler an infinite gradient is a skipped step, not a divergence
        watched = norm * 0 + loss if self.trainer.scaler is None else self.last_loss
        if watched is not None:
            self.non_finite.watch(watched, self.trainer.global_step + 1)
        if gradient_clip_val is None or gradient_clip_val <= 0:
            return
        if gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        else:
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)

    def check_finite(self) -> None:
        """Raise RunError if any loss or gradient so far, or a weight, was not finite."""
        self.non_finite.check(self.network, self.trainer.global_step, self.trainer.world_size)

    # -- optimizer and schedule ----------------------------------------------------

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer()
        if self.make_schedule is None:
            return optimizer
        lengths = self._lengths(self.make_schedule)
        with _making("schedule", self.make_schedule):
            scheduler = self.make_schedule(optimizer, **lengths)
        stepped: dict[str, Any] = {"scheduler": scheduler, "interval": "step"}
        if isinstance(scheduler, ReduceLROnPlateau):
            if not self.trainer.enable_validation:
                raise InputError(
                    "schedule: ReduceLROnPlateau goes by val/loss, which nothing gives"
                )
            # Lightning's own step comes after the checkpoint of a validation, which would miss it:
            # on_validation_epoch_end takes it, and Lightning never comes to its turn
            stepped.update(interval="epoch", frequency=sys.maxsize, monitor="val/loss")
        return {"optimizer": optimizer, "lr_scheduler": stepped}

    def _optimizer(self) -> torch.optim.Optimizer:
        scaled = self.trainer.scaler is not None
        with _making("optimizer", self.make_optimizer):
            return optimizer_of(
                self.trained_parameters(), self.make_optimizer, scaled, self.stream_threads
            )

    def trained_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What is trained: the network's parameters by its names, then a subclass's own."""
        named = [*self.network.named_parameters(), *self._further_parameters()]
        return [(name, p) for name, p in named if p.requires_grad]

    def _further_parameters(self) -> list[tuple[str, nn.Parameter]]:
        named = self.named_parameters()
        return [(name, p) for name, p in named if not name.startswith("network.")]

    def _lengths(self, make: MakeSchedule) -> dict[str, int]:
        """What the schedule asks for of `total_steps` and `steps_per_epoch`."""
        takes, given = parameters_of(make)
        known: dict[str, Callable[[], float]] = {
            "total_steps": lambda: self.trainer.estimated_stepping_batches,
            "steps_per_epoch": lambda: self.steps_per_epoch,
        }
        lengths = {name: known[name]() for name in known.keys() & (takes - given)}
        if math.inf in lengths.values():
            raise InputError(
                f"schedule: {described(make)['name']} asks for total_steps, and the trainer knows "
                f"no end; give it max_steps or max_epochs"
            )
        return {name: int(length) for name, length in lengths.items()}

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in an epoch, once the trainer has a loader."""
        self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        if batches == math.inf:  # a loader without a length, or none is asked for
            return sys.maxsize
        return math.ceil(batches / self.trainer.accumulate_grad_batches)

    # -- validation ----------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        if self._is_fitting():
            self.check_finite()  # or scoring and sampling would be slow, and fail in other words
        self._begin_scores()

    def on_test_epoch_start(self) -> None:
        self._begin_scores()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._score(batch, dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._score(batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        loss = self._report("val")
        if loss is not None and self._is_fitting():
            self.best.update(loss, self.trainer.global_step, len(self.vocabulary))
            scheduler = self.lr_schedulers()
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(loss)

    def on_test_epoch_end(self) -> None:
        self._report("test")

    def _begin_scores(self) -> None:
        self._scores = {}
        self._evaluated: State | None = None

    def _score(self, batch: Any, loader: int) -> None:
        """Add a batch's summed loss to its loader's, in float32 in any precision of training."""
        with torch.autocast(self.device.type, enabled=False):
            if isinstance(batch, WholeText):
                rank, world_size = self.trainer.global_rank, self.trainer.world_size
                report = next((c.validating for c in self._bars()), None)
                threads = self.stream_threads * torch.get_num_threads()
                loss = part_loss(
                    self.network, batch.ids, rank, world_size,
                    threads=threads, report=report, kept=self.validation_logits,
                )  # fmt: skip
                count = len(batch.ids) - 1 if rank == 0 else 0
            else:
                ids, targets, begins = _window(batch)
                logits, self._evaluated = self.network(ids, None if begins else self._evaluated)
                losses = F.cross_entropy(
                    logits.flatten(0, 1).float(), targets.flatten(), reduction="sum"
                )
                loss, count = losses.item(), targets.numel()
        self._scores.setdefault(loader, []).append((loss, count))

    def _bars(self) -> list[Any]:
        return [c for c in self.trainer.callbacks if hasattr(c, "validating")]

    def _report(self, split: str) -> float | None:
        """The mean loss of a split, logged; None if there was nothing to score.

        Of several loaders the first one counts; the loss of the second is val/loss_1.
        """
        for loader in range(1, len(self._scores)):
            self._report_loader(split, loader, f"_{loader}")
        return self._report_loader(split, 0, "")

    def _report_loader(self, split: str, loader: int, suffix: str) -> float | None:
        scores = self._scores.get(loader, [])
        sums = torch.tensor(scores, dtype=torch.float64).reshape(-1, 2).sum(0)
        if self.trainer.world_size > 1:
            strategy = self.trainer.strategy
            sums = strategy.reduce(sums.to(strategy.root_device), reduce_op="sum")
        total, count = sums.tolist()
        if not count:
            return None
        loss = total / count
        values = {
            f"{split}/loss{suffix}": loss,
            f"{split}/bits_per_character{suffix}": loss * BITS_PER_NAT,
        }
        fits = self.trainer.state.fn == "fit"
        for name, value in values.items():
            # validate() and test() return what goes to a logger
            self.log(name, torch.tensor(value, dtype=torch.float64), logger=not fits)
        if self._is_fitting():
            # with the number of the step it was, which Lightning's own way misses
            values["epoch"] = self.trainer.global_step / self.steps_per_epoch
            for logger in self.trainer.loggers:
                logger.log_metrics(values, self.trainer.global_step)
        return loss

    def _is_fitting(self) -> bool:
        return self.trainer.state.fn == "fit" and not self.trainer.sanity_checking

    def configure_callbacks(self) -> list[L.Callback]:
        """Lightning's way to let a module bring a callback: training is logged in any Trainer."""
        callbacks: list[L.Callback] = self.trainer.callbacks
        return [] if any(isinstance(c, TrainingLog) for c in callbacks) else [TrainingLog()]

    # -- the model, and exact resume -------------------------------------------------

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
            "step": step,
            "epoch": step / self.steps_per_epoch if self.trainer.state.fn == "fit" else None,
            "val_loss": self.best.loss if self.best.step == step and step else None,
        }

    def to_trained(self) -> TrainedModel:
        """The weights as they are, with all that is needed to use them."""
        network = restoring.inner(self.network)
        weights = weights_of(network)
        return TrainedModel(network.architecture, self.vocabulary, weights, self.facts)

    def to_model(self) -> Model:
        """The model as it is, to sample from and to score with."""
        return Model(self.to_trained())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        restoring.without_wrapping(checkpoint["state_dict"], self.network, "network.")
        if self._pending is not None:
            # nothing was trained since what this goes on from
            self.state = restoring.restore(self._pending, self.device)
        restoring.tidy_progress(checkpoint)
        checkpoint.setdefault(ENTRY, {}).update(
            version=FORMAT_VERSION,
            architecture=self.network.architecture.plain(),
            tokens=self.vocabulary.tokens(),
            facts=self.facts,
            best=self.best.plain(),
            ranks=restoring.saved(self.state, self.device, self.trainer.world_size),
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        restoring.with_wrapping(checkpoint["state_dict"], self.network, "network.")
        entry = checkpoint.get(ENTRY, {})
        self._loaded_facts = dict(entry.get("facts", {}))
        if not self._is_attached or self.trainer.state.fn != "fit":
            return
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        self._pending = restoring.share(entry["ranks"], rank, world_size)
        self.best = Best.from_plain(entry["best"])
        if isinstance(self.trainer.datamodule, TextDataModule):
            restoring.set_progress(checkpoint, self.trainer)
        made = self.configure_optimizers()
        optimizers, schedulers = _all_of(Optimizer, made), _all_of(LRScheduler, made)
        of_step = all(isinstance(scheduler, OfStep) for scheduler in schedulers)
        for optimizer, saved in zip(optimizers, checkpoint["optimizer_states"], strict=False):
            restoring.require_fitting(optimizer, saved)
            if of_step:
                # what today's options say counts, not what the checkpoint was trained with
                saved["param_groups"] = optimizer.state_dict()["param_groups"]
        if schedulers and of_step:
            saved_schedulers = checkpoint.get("lr_schedulers") or [{} for _ in schedulers]
            step = checkpoint["global_step"]
            checkpoint["lr_schedulers"] = [{**s, "last_epoch": step} for s in saved_schedulers]


def _all_of(kind: type, made: Any) -> list[Any]:
    """All of a kind in what configure_optimizers returns, in any form that Lightning takes."""
    if isinstance(made, kind):
        return [made]
    if isinstance(made, Mapping):
        made = list(made.values())
    return (
        [one for m in made for one in _all_of(kind, m)] if isinstance(made, (list, tuple)) else []
    )


@contextlib.contextmanager
def _making(option: str, make: Any) -> Iterator[None]:
    """Say of what somebody chose that it cannot be made so."""
    try:
        yield
    except (TypeError, ValueError) as error:
        name = described(make)["name"]
        raise InputError(f"{option}: {name} cannot be made: {error}") from error


def _window(batch: Any) -> tuple[Tensor, Tensor, bool]:
    ids, targets, *begins = batch
    return ids, targets, bool(begins[0]) if begins else True
