"""Callbacks of a run: samples, early stopping, averaged weights, growing windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from charrnn.errors import InputError
from charrnn.files import replacing
from charrnn.network import Network, State
from charrnn.say import say
from charrnn.text.vocabulary import as_bytes
from charrnn.training.loggers import log_text
from charrnn.training.progress_bar import Progress
from charrnn.training.stream_threads import WindowLoss


class Samples(L.Callback):
    """Writes a text after each validation, into samples/ of the run's folder and to loggers.

    A terminal sees the beginning of one now and then.

    It draws no random number of the training's.

    Args:
        length: characters; 0: none.
        temperature: below 1 more careful, above 1 wilder.
    """

    def __init__(self, length: int = 300, temperature: float = 0.8) -> None:
        if length < 0 or temperature < 0:
            raise InputError("callbacks.samples: length and temperature must be 0 or more")
        self.length = length
        self.temperature = temperature
        self._text: str | None = None

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        # while an average of the weights, if there is one, stands in for them
        fits = trainer.state.fn == "fit" and not trainer.sanity_checking
        self._text = None
        if fits and self.length and trainer.is_global_zero and not trainer.fast_dev_run:
            self._text = pl_module.to_model().generate(
                length=self.length, temperature=self.temperature, seed=trainer.global_step
            )

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self._text is None:
            return
        step = trainer.global_step
        folder = Path(trainer.default_root_dir)
        with replacing(folder / "samples" / f"step-{step:07d}.txt") as temporary:
            temporary.write_bytes(as_bytes(self._text))
        log_text(trainer.loggers, "sample", self._text, step)
        for callback in trainer.callbacks:
            if isinstance(callback, Progress):
                callback.show(self._text)


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, which says that it stopped, and lets a resume have more patience.

    Args:
        monitor: what is to get lower.
        patience: validations without a lower one.
        min_delta: how much lower it must be to count.
    """

    def __init__(
        self, monitor: str = "val/loss", patience: int = 5, min_delta: float = 0.0
    ) -> None:
        super().__init__(monitor, patience=patience, min_delta=min_delta)

    @property
    def has_stopped(self) -> bool:
        """Whether there is no patience left."""
        return self.wait_count >= self.patience

    @property
    def state_key(self) -> str:
        # without what a resume may change
        return "EarlyStopping"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        waited = self.wait_count
        super().on_validation_end(trainer, pl_module)
        # once: validations may follow, of a training that min_steps holds or of one that ended
        if waited < self.patience <= self.wait_count and trainer.is_global_zero:
            say(f"stopping: {self.monitor} has not got lower for {self.wait_count} validations")


class OverfittingStop(L.Callback):
    """Ends a training whose validation loss has turned for good.

    Args:
        margin: nats per character above the best from which on a validation counts; None: none
            does.
        patience: so many validations in a row that count end the training.
    """

    def __init__(self, margin: float | None = None, patience: int = 3) -> None:
        self.margin, self.patience = margin, patience
        self.worse = 0

    @property
    def has_stopped(self) -> bool:
        """Whether the training is at its end."""
        return self.worse >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {"worse": self.worse}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.worse = state_dict["worse"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        loss = trainer.callback_metrics.get("val/loss")
        fits = trainer.state.fn == "fit" and not trainer.sanity_checking
        if self.margin is None or loss is None or not fits:
            return
        self.worse = self.worse + 1 if float(loss) > pl_module.best.loss + self.margin else 0
        if self.has_stopped:
            trainer.should_stop = True
            # it is validated once more as it ends
            if trainer.is_global_zero and self.worse == self.patience:
                say(
                    f"stopping: more passes over so short a text make it worse; the best was after "
                    f"step {pl_module.best.step}"
                )


class StalledAverage(WeightAveraging):
    """The mean of the weights after each step since validation stalled; until then the last ones.

    It takes the place of a falling learning rate: the steps stay long, and the mean lies in the
    middle of where they lead. As non-monotonically triggered averaged SGD (Merity et al. 2017,
    arXiv 1708.02182) begins it, but with whatever optimizer there is. The average is what is
    validated, sampled and exported; from a resume it goes on exactly.

    Args:
        patience: validations in a row without a better loss after which the mean begins.
        monitor: what is to get lower.
    """

    def __init__(self, patience: int = 5, monitor: str = "val/loss") -> None:
        super().__init__(avg_fn=self._averaged)
        self.patience = patience
        self.monitor = monitor
        self.best = float("inf")
        self.waited = 0  # validations since the best one
        self.taken = 0  # steps that are in the mean

    @property
    def has_stalled(self) -> bool:
        """Whether the mean has begun."""
        return self.waited >= self.patience

    def _averaged(self, average: Tensor, current: Tensor, _: Tensor | int) -> Tensor:
        return average + (current - average) / max(self.taken, 1)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After every step, which counts as taken from now on."""
        if step_idx is None:
            return False
        self.taken += self.has_stalled
        return True

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or self.has_stalled:
            return
        if self.monitor not in trainer.callback_metrics:
            raise InputError(
                f"StalledAverage: monitor={self.monitor}: there is no such metric; there are "
                f"{', '.join(sorted(trainer.callback_metrics))}"
            )
        loss = float(trainer.callback_metrics[self.monitor])
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(loss, self.best)

    def state_dict(self) -> dict[str, Any]:
        own = {"best": self.best, "waited": self.waited, "taken": self.taken}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.best, self.waited = state_dict["best"], state_dict["waited"]
        self.taken = state_dict["taken"]


class GrowingWindows(L.Callback):
    """Trains windows in pieces at first, which grow along a line until they are whole.

    Each piece goes on from the state after the one before it, through which no gradient flows;
    so the streams, the number of steps and what a step reads are as without. How long pieces are
    follows from the step alone, and a resume is exact. Short windows first are the sequence
    length warm-up of Li, Zhang and He (arXiv 2108.06084).

    Args:
        first: characters of a piece at the first step, 1 or more.
        steps: after so many, 1 or more, windows are whole.

    Raises:
        InputError: a value is out of its range.
    """

    def __init__(self, first: int = 16, steps: int = 500) -> None:
        if first < 1 or steps < 1:
            raise InputError("callbacks.growing: first and steps must be 1 or more")
        self.first = first
        self.steps = steps
        self.step = 0
        self._loss: WindowLoss

    def length(self, whole: int) -> int:
        """Characters of a piece of a window of `whole`, at the present step."""
        if self.first >= whole:
            return whole
        return self.first + (whole - self.first) * min(self.step, self.steps) // self.steps

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._loss, pl_module.window_loss = pl_module.window_loss, self._in_pieces

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.step = trainer.global_step

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        pl_module.window_loss = self._loss

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        if pl_module.window_loss == self._in_pieces:
            pl_module.window_loss = self._loss

    def _in_pieces(
        self,
        network: Network,
        ids: Tensor,
        targets: Tensor,
        state: State | None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        """The mean loss of a window (ids and targets (N, T)), and the detached state after it."""
        whole = ids.shape[1]
        length = self.length(whole)
        loss = torch.zeros((), device=ids.device)
        for start in range(0, whole, length):
            piece = slice(start, min(start + length, whole))
            mean, state = self._loss(network, ids[:, piece], targets[:, piece], state, generator)
            loss = loss + mean * ((piece.stop - start) / whole)
        assert state is not None
        return loss, state
