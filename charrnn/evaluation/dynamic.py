"""Dynamic evaluation: a network that goes on learning from the text that it is scored on.

Krause et al., "Dynamic Evaluation of Neural Sequence Models" (arXiv 1709.07432). The text is
walked in segments. A segment is scored first, by weights that have seen nothing of it; then
the weights take one step down its loss's gradient g, and a little of the way back to the
trained weights w0:

    w <- w - lr * g / (rms + epsilon) + decay * rate * (w0 - w)

rms is the root of the mean square of each weight's gradients over the training text, and
rate is rms over its mean, at most 1 / decay. Without a training text the step is plain:
rms + epsilon and rate are then 1 (the paper's SGD with decay).

Such a loss is honest, for no character's score depends on itself or on what follows it. It is
another thing than the loss of the trained weights alone, and stands beside it, under its own
name. Counts that read along go on counting (`charrnn.counts.adaptive`).

One segment follows from another, so nothing here is done side by side; and a step is so little
work that threads which share it would mostly wait for each other, so there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.counts.adaptive import AdaptiveCounts
from charrnn.data import Ids, SplitIds
from charrnn.evaluation.losses import Score, losses_of, scored_ids
from charrnn.evaluation.windows import evaluating, one_thread
from charrnn.network import State, detached
from charrnn.network_ensemble import AnyNetwork, is_normalized

# How the training text is read for its gradients: streams side by side, and segments of each
STREAMS = 32
SEGMENTS = 200
# of the mean rms: a weight without a gradient in the training text would take endless steps
EPSILON = 0.1


# Chosen on the validation split of tiny-shakespeare (docs/evaluation.md), where half or twice
# of each costs a hundredth of a nat at most.
LR = 6e-5
LR_OF_PLAIN_STEPS = 0.04
DECAY = 0.001
SEGMENT = 50


@dataclass(frozen=True)
class Rule:
    """How the weights follow the text.

    Attributes:
        lr: of a segment's mean loss in nats per character; with `rms` the length of a usual
            step in every weight.
        decay: the part of the way back to the trained weights that each step goes.
        segment: characters that are scored before each step.
        rms: of each weight that is trained, in their order; None for plain steps.
    """

    lr: float
    decay: float
    segment: int
    rms: list[Tensor] | None = None


def rule_for(
    network: AnyNetwork,
    training: SplitIds | None,
    *,
    lr: float | None = None,
    decay: float | None = None,
    segment: int | None = None,
) -> Rule:
    """The rule for a network, with defaults for what is None.

    Args:
        training: the ids (n,) that it was trained on; None takes plain steps.
    """
    segment = SEGMENT if segment is None else segment
    decay = DECAY if decay is None else decay
    if training is None:
        return Rule(LR_OF_PLAIN_STEPS if lr is None else lr, decay, segment)
    return Rule(LR if lr is None else lr, decay, segment, gradient_rms(network, training, segment))


def trained_parameters(network: AnyNetwork) -> list[nn.Parameter]:
    return [p for p in network.parameters() if p.requires_grad]


@one_thread()
def dynamic_loss(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    rule: Rule,
    *,
    counts: AdaptiveCounts | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Score:
    """The mean loss of all characters but the first, one stream from the zero state.

    The network has its own weights again when this returns, however it ends, and its mode;
    no random number is drawn.

    Args:
        ids: (n,) from 0, n >= 2.
        counts: read the text too; `counts.loss` is then the loss of both.
        report: called with the characters done and the characters in all.

    Raises:
        ValueError: there is nothing to predict.
    """
    ids = scored_ids(ids)
    device, count = next(network.parameters()).device, len(ids) - 1
    parameters = trained_parameters(network)
    total = torch.zeros((), dtype=torch.float64, device=device)
    state: State | None = None
    with evaluating(network), _kept(parameters) as before:
        step = _Step(parameters, before, rule)
        for start in range(0, count, rule.segment):
            stop = min(start + rule.segment, count)
            block = torch.from_numpy(ids[start : stop + 1][None]).to(device)
            logits, losses, state = _losses(network, block, state)
            if counts is not None:
                log_p = F.log_softmax(logits.detach()[0].float(), -1)
                counts.read(ids[start : stop + 1], log_p.cpu().numpy())
            total += losses.detach().sum(dtype=torch.float64)
            if stop < count:
                step(torch.autograd.grad(losses.mean(), parameters))
            if report is not None:
                report(stop, count)
    return Score(total.item() / count, count)


@contextmanager
def _kept(parameters: list[nn.Parameter]) -> Iterator[list[Tensor]]:
    """Give weights their values back in the end; yields these."""
    before = [p.detach().clone() for p in parameters]
    try:
        yield before
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)


class _Step:
    """One step of the rule, all that stays the same computed once."""

    def __init__(self, parameters: list[nn.Parameter], before: list[Tensor], rule: Rule) -> None:
        self.parameters = parameters
        self.before = before
        ones = [torch.ones((), device=p.device) for p in parameters]
        self.scales, self.rates = (
            [rule.lr * one for one in ones],
            [rule.decay * one for one in ones],
        )
        if rule.rms is not None:
            numbers = sum(rms.numel() for rms in rule.rms)
            mean = sum(rms.sum() for rms in rule.rms) / numbers
            self.scales = [rule.lr / (rms + EPSILON * mean) for rms in rule.rms]
            self.rates = [(rule.decay * rms / mean).clamp(max=1) for rms in rule.rms]

    @torch.no_grad()
    def __call__(self, gradients: tuple[Tensor, ...]) -> None:
        for p, p0, g, scale, rate in zip(
            self.parameters, self.before, gradients, self.scales, self.rates, strict=True
        ):
            p.add_(rate * (p0 - p) - scale * g)


@one_thread()
def gradient_rms(
    network: AnyNetwork,
    ids: Ids | SplitIds,
    segment: int,
) -> list[Tensor]:
    """The root mean square of each trained weight's gradients over a training text.

    `STREAMS` streams (fewer of a short text) are read side by side from the zero state, as in
    training, at most `SEGMENTS` segments of each; a gradient is that of their mean loss.

    Args:
        ids: (n,) from 0, n >= 2.
        segment: characters of each stream in one gradient.

    Raises:
        ValueError: there is nothing to predict.
    """
    ids = scored_ids(ids)
    count = len(ids) - 1
    rows = max(1, min(STREAMS, count // segment))
    length = count // rows
    starts = range(0, length, segment)[:SEGMENTS]
    device, parameters = next(network.parameters()).device, trained_parameters(network)
    squares = [torch.zeros_like(p) for p in parameters]
    state: State | None = None
    with evaluating(network):
        for start in starts:
            stop = min(start + segment, length)
            block = ids.rows(length, range(rows), slice(start, stop + 1))
            _, losses, state = _losses(network, torch.from_numpy(block).to(device), state)
            for square, g in zip(
                squares, torch.autograd.grad(losses.mean(), parameters), strict=True
            ):
                square.addcmul_(g, g)
    return [(square / len(starts)).sqrt() for square in squares]


def _losses(
    network: AnyNetwork, block: Tensor, state: State | None
) -> tuple[Tensor, Tensor, State]:
    """Logits and losses (R, C) of a block (R, C + 1), and the state after it, cut off."""
    with torch.enable_grad():
        logits, state = network(block[:, :-1], state)
        losses = losses_of(logits, block[:, 1:], normalized=is_normalized(network))
    return logits, losses, detached(state)
