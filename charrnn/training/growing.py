"""Backpropagation that goes back further and further as a training goes on."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from charrnn.errors import InputError
from charrnn.network import Network, State
from charrnn.training.stream_threads import WindowLoss


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
