"""Data parallelism over CPU threads: each thread trains on a shard of the batch.

Usually all threads share each matrix product. They then synchronize hundreds of times per step, and
if another program needs a core, a step takes five times as long or more. Here, each thread computes
the forward and backward pass of some of the streams, and the threads synchronize once, to sum
their gradients. This is also faster on an idle machine, unless the network is so large that the
reading of the weights by each thread takes longer. `charrnn.runs.hardware` decides.

The result is the same up to rounding. It is deterministic: the shards are summed in a fixed order,
and their dropout uses generators that each step seeds from torch's global generator. So a resume
needs no other state.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.models.trained import concat_states, select_streams
from charrnn.networks.network import Network, State, detach_state
from charrnn.processors import get_torch_pool

MAX_SEED = 1 << 62


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy () of logits (N, T, V) for targets (N, T), in nats."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class BatchShardedLoss:
    """The mean loss of a window, computed by one thread per shard of the streams.

    The call also computes the gradients. The loss's backward() only assigns them.

    Args:
        num_batch_shards: the number of threads, at most the number of streams. Each thread uses
            one core.
        loss: returns the mean loss of logits (N, T, V) for targets (N, T).
        parameters: the trained parameters.
    """

    def __init__(
        self,
        network: Network,
        num_batch_shards: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        parameters: Iterable[nn.Parameter],
    ) -> None:
        assert not network.architecture.batchnorm, "batchnorm needs the statistics of all shards"
        self.network = network
        self.num_batch_shards = num_batch_shards
        self.loss = loss
        self.parameters = list(parameters)
        # Each thread has a copy of the modules, whose state is not thread-safe, but shares the
        # weights.
        shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        copies = [copy.deepcopy(network, dict(shared)) for _ in range(num_batch_shards - 1)]
        self.networks = [network, *copies]
        self.generators = [torch.Generator() for _ in range(num_batch_shards)]

    def __call__(self, ids: Tensor, targets: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return the mean loss of ids and targets (N, T), and the detached state after them."""
        if self.network.architecture.dropout:
            seed = int(torch.randint(MAX_SEED, ()))
            for i, generator in enumerate(self.generators):
                generator.manual_seed(seed + i)
        for network in self.networks:
            network.train(self.network.training)
        dtype, enabled = torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")

        def run_shard(i: int) -> tuple[Tensor, tuple[Tensor, ...], State]:
            shards = self.num_batch_shards
            rows = slice(len(ids) * i // shards, len(ids) * (i + 1) // shards)
            shard_state = None if state is None else select_streams(state, rows)
            # Grad mode and autocast are per thread.
            with torch.enable_grad(), torch.autocast("cpu", dtype=dtype, enabled=enabled):
                logits, new_state = self.networks[i](ids[rows], shard_state, self.generators[i])
                loss = self.loss(logits, targets[rows])
                loss = loss * (rows.stop - rows.start) / len(ids)
                gradients = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
                return loss.detach(), gradients, detach_state(new_state)

        pool = get_torch_pool(self.num_batch_shards)
        results = pool.map(run_shard, range(self.num_batch_shards))
        losses, gradients, states = zip(*results, strict=True)
        summed = [functools.reduce(torch.add, shards) for shards in zip(*gradients, strict=True)]
        loss: Tensor = _PrecomputedGradients.apply(sum(losses), summed, *self.parameters)
        return loss, concat_states(states, torch.cat)


class _PrecomputedGradients(torch.autograd.Function):
    """A loss whose gradients are already computed."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        # Without the reference in ctx, autograd can use the gradients as .grad without a copy.
        gradients, ctx.gradients = ctx.gradients, None
        scale = outputs[0].item()
        return None, None, *(gradients if scale == 1 else [g * scale for g in gradients])
