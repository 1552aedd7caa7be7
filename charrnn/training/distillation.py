"""Training on what other models predict, beside what the text says.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), at
temperature 1. Where the text has one next character, teachers have a probability p for each,
and the loss of a student with probabilities q is

    (1 - weight) * -ln q(next)  +  weight * -sum over characters of p * ln q

averaged over the characters. Several teachers are an ensemble: p is the mean of theirs.

Teachers read the windows that the student reads, each from the state after the one before. What
they carry is carried with the student's state, after the student's layers: so a checkpoint saves
it, streams are shared out with it, and a text that begins anew begins anew for both.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from charrnn.network import Network, State, detached
from charrnn.network_ensemble import AnyNetwork
from charrnn.training.stream_threads import LogitsLoss, call, text_loss


class Distillation:
    """A `window_loss` for `LanguageModel.window_loss` and `SharedLoss`.

    Args:
        teachers: one network, or several as one, with the student's vocabulary in its order.
            They are never trained, are no part of the student, and draw no random number.
        weight: of the teachers' loss, above 0 and at most 1.
        loss: of the text's part; `text_loss` by default.
    """

    def __init__(self, teachers: AnyNetwork, weight: float, loss: LogitsLoss | None = None) -> None:
        self.teachers = teachers.eval().requires_grad_(False)
        self.weight = weight
        self.loss = loss

    def __call__(
        self,
        network: Network,
        ids: Tensor,
        targets: Tensor,
        state: State | None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        """The mean loss of a window (ids and targets (N, T)), and the detached state after it."""
        own = len(network.architecture.zero_state(0))
        before = None if state is None else state[own:]
        with torch.no_grad():
            taught, theirs = self._on(ids.device)(ids, before)
            probabilities = taught.float().softmax(-1)  # (N, T, V)
        logits, after = call(network, ids, None if state is None else state[:own], generator)
        logs = F.log_softmax(logits.float(), -1)
        loss = self.loss or text_loss
        text = loss(logits, targets)
        teaching = -(probabilities * logs).sum(-1).mean()
        mixed = (1 - self.weight) * text + self.weight * teaching
        return mixed, detached((*after, *theirs))

    def _on(self, device: torch.device) -> AnyNetwork:
        if next(self.teachers.parameters()).device != device:
            self.teachers.to(device)
        return self.teachers
