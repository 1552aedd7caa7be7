"""A training step's batch, sharded over CPU threads.

The usual way to use several cores is to split every product. The threads then meet after each
one, some hundred times a step, and where another program wants a core they wait for each other
most of the time: a step takes five times as long and more. Here each thread takes some of the
streams through the whole step, forward and backward, and they meet once, to add up their gradients
(as data-parallel processes would, but with one set of weights). That is faster on an idle machine,
too, until the network is so large that each thread's reading of the weights counts:
`charrnn.runs.hardware` decides.

It is the same step up to rounding. The shards are added in a fixed order, and their dropout draws
from generators that are seeded anew in each step from torch's global one: the same run has the
same bits each time, and a resume needs nothing more.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.errors import InputError
from charrnn.networks.network import Network, State, concat_states, detach_state, state_rows

MAX_SEED = 1 << 62


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean loss () of logits (N, T, V) where the text has targets (N, T), in nats."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


@contextlib.contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let torch compute each operation with `count` threads, in every shard."""
    previous = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(previous)  # the next run of a sweep decides anew


class BatchShardedLoss:
    """The mean loss of a window, computed in shards of its streams, each by a thread.

    The gradients are there when it returns; the loss's backward() only hands them out.

    Args:
        num_batch_shards: threads, no more than there are streams. Each may itself use as many as
            torch is set to.
        loss: of logits (N, T, V) and targets (N, T), their mean.
        parameters: that are trained; the network's by default.
    """

    def __init__(
        self,
        network: Network,
        num_batch_shards: int,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        parameters: Iterable[nn.Parameter] | None = None,
    ) -> None:
        assert not network.architecture.batchnorm, "its statistics are those of the whole batch"
        self.network = network
        self.num_batch_shards = num_batch_shards
        self.loss = loss
        trained = network.parameters() if parameters is None else parameters
        self.parameters = [p for p in trained if p.requires_grad]
        # a thread's own modules around the same weights: hooks and buffers of cells are not shared
        shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        copies = [copy.deepcopy(network, dict(shared)) for _ in range(num_batch_shards - 1)]
        self.networks = [network, *copies]
        self.generators = [torch.Generator() for _ in range(num_batch_shards)]
        # a thread begins with torch's default, not with what was set
        others, threads = max(1, num_batch_shards - 1), torch.get_num_threads()
        self.pool = ThreadPoolExecutor(others, "shard", torch.set_num_threads, (threads,))

    def __call__(self, ids: Tensor, targets: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The mean loss of ids and targets (N, T), and the state after them, detached."""
        if self.network.draws:
            seed = int(torch.randint(MAX_SEED, ()))
            for i, generator in enumerate(self.generators):
                generator.manual_seed(seed + i)
        for network in self.networks:
            network.train(self.network.training)
        dtype, enabled = torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")

        def shard(i: int) -> tuple[Tensor, tuple[Tensor, ...], State]:
            shards = self.num_batch_shards
            rows = slice(len(ids) * i // shards, len(ids) * (i + 1) // shards)
            before = None if state is None else state_rows(state, rows)
            # grad mode and autocast are per thread
            with torch.enable_grad(), torch.autocast("cpu", dtype=dtype, enabled=enabled):
                logits, after = self.networks[i](ids[rows], before, self.generators[i])
                loss = self.loss(logits, targets[rows])
                require_scalar(loss)
                loss = loss * (rows.stop - rows.start) / len(ids)
                gradients = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
                return loss.detach(), gradients, detach_state(after)

        others = [self.pool.submit(shard, i) for i in range(1, self.num_batch_shards)]
        done = [shard(0), *(other.result() for other in others)]
        losses, gradients, states = zip(*done, strict=True)
        summed = [functools.reduce(torch.add, each) for each in zip(*gradients, strict=True)]
        loss: Tensor = _WithGradients.apply(sum(losses), summed, *self.parameters)
        return loss, concat_states(states)


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


def require_scalar(loss: Tensor) -> None:
    """Raise InputError unless a loss, which may be somebody's own, is one number."""
    if loss.numel() != 1:
        raise InputError(
            f"the loss has the shape {tuple(loss.shape)}; training needs its mean, one number"
        )
