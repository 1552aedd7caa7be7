"""A training step's streams, shared out among CPU threads.

The usual way to use several cores is to share out every product. The threads then meet after
each one, some hundred times a step, and where another program wants a core they wait for each
other most of the time: a step takes five times as long and more. Here each thread takes some
of the streams through the whole step, forward and backward, and they meet once, to add up
their gradients (as several processes would, but with one set of weights). That is faster on an
idle machine, too, until the network is so large that each thread's reading of the weights
counts: `charrnn.runs.hardware` decides.

It is the same step up to rounding. The parts are added in a fixed order, and their dropout
draws from generators that are seeded anew in each step from torch's global one: the same run
has the same bits each time, and a resume needs nothing more.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.errors import InputError
from charrnn.network import Network, State, detached, joined, streams_of

SEEDS = 1 << 62

# (network, ids (N, T), targets (N, T), state, generator) -> the mean loss, the state after it
WindowLoss = Callable[..., tuple[Tensor, State]]
# (logits (N, T, V), targets (N, T)) -> the mean loss
LogitsLoss = Callable[[Tensor, Tensor], Tensor]


def window_loss(
    network: Network,
    ids: Tensor,
    targets: Tensor,
    state: State | None,
    generator: torch.Generator | None = None,
    loss: LogitsLoss | None = None,
) -> tuple[Tensor, State]:
    """The mean loss of a window (ids and targets (N, T)), and the detached state after it.

    Args:
        loss: of the logits; `text_loss` by default.
    """
    logits, state = call(network, ids, state, generator)  # (N, T, V)
    loss = loss or text_loss
    return loss(logits, targets), detached(state)


def call(
    network: Network, ids: Tensor, state: State | None, generator: torch.Generator | None
) -> tuple[Tensor, State]:
    """The logits (N, T, V) of a network in training, and the state after ids (N, T)."""
    given = () if generator is None else (generator,)  # one's own network takes none
    logits, after = network(ids, state, *given)
    return logits, after


def text_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """What logits (N, T, V) cost where the text has targets (N, T), as a network is trained."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def require_one_number(loss: Tensor) -> None:
    """Raise InputError unless a loss, which may be somebody's own, is one number."""
    if loss.numel() != 1:
        raise InputError(
            f"the loss has the shape {tuple(loss.shape)}; training needs its mean, one number"
        )


class SharedLoss:
    """`window_loss`, or another of its kind, computed in parts by as many threads.

    Its gradients are there when it returns; the loss's backward() only hands them out.

    Args:
        shares: threads, no more than there are streams. Every one may itself use as many as
            torch is set to.
        further: trained parameters outside of the network that the loss may depend on.

    Attributes:
        window_loss: may be another one in each step.
    """

    def __init__(
        self,
        network: Network,
        shares: int,
        window_loss: WindowLoss = window_loss,
        further: Iterable[nn.Parameter] = (),
    ) -> None:
        assert not network.architecture.batchnorm, "its statistics are those of all streams"
        self.network = network
        self.shares = shares
        self.window_loss = window_loss
        self.parameters = [p for p in (*network.parameters(), *further) if p.requires_grad]
        # a thread's own modules, around the same weights: a mask on them is put in for a while
        shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        copies = [copy.deepcopy(network, dict(shared)) for _ in range(shares - 1)]
        self.networks = [network, *copies]
        self.generators = [torch.Generator() for _ in range(shares)]
        # a thread begins with torch's default, not with what was set
        self.pool = ThreadPoolExecutor(
            shares - 1, "step", torch.set_num_threads, (torch.get_num_threads(),)
        )

    def __call__(self, ids: Tensor, targets: Tensor, state: State | None) -> tuple[Tensor, State]:
        if self.network.draws:
            seed = int(torch.randint(SEEDS, ()))
            for i, generator in enumerate(self.generators):
                generator.manual_seed(seed + i)
        for network in self.networks:
            network.train(self.network.training)
        precision = _autocast()

        def part(i: int) -> tuple[Tensor, tuple[Tensor, ...], State]:
            rows = slice(len(ids) * i // self.shares, len(ids) * (i + 1) // self.shares)
            before = None if state is None else streams_of(state, rows)
            # grad mode and autocast are per thread
            with torch.enable_grad(), torch.autocast("cpu", **precision):
                loss, after = self.window_loss(
                    self.networks[i], ids[rows], targets[rows], before, self.generators[i]
                )
                require_one_number(loss)
                loss = loss * (rows.stop - rows.start) / len(ids)
                gradients = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
                return loss.detach(), gradients, after

        others = [self.pool.submit(part, i) for i in range(1, self.shares)]
        parts = [part(0), *(other.result() for other in others)]
        losses, gradients, states = zip(*parts, strict=True)
        summed = [functools.reduce(torch.add, each) for each in zip(*gradients, strict=True)]
        loss: Tensor = _WithGradients.apply(sum(losses), summed, *self.parameters)
        return loss, joined(states)


class _WithGradients(torch.autograd.Function):
    """A loss whose gradients are known already."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        # let go of them here, so that they become the parameters' without a copy
        gradients, ctx.gradients = ctx.gradients, None
        scale = outputs[0].item()
        return None, None, *(gradients if scale == 1 else [g * scale for g in gradients])


def _autocast() -> dict[str, Any]:
    """The calling thread's precision."""
    return {"dtype": torch.get_autocast_dtype("cpu"), "enabled": torch.is_autocast_enabled("cpu")}
