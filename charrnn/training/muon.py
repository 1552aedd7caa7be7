"""Muon: orthogonalized momentum."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import torch
from torch import Tensor

from charrnn.options.ranges import AT_LEAST_1, BELOW_1, BETAS, NOT_NEGATIVE, POSITIVE
from charrnn.training.bf16 import device_has_bf16

# a, b, c of the polynomials a s + b s^3 + c s^5 that, one after another, take singular values s
# from 0.02 to 1 nearest to 1: each is the best for the interval in which the one before leaves
# them (The Polar Express, arXiv 2505.16932). The last is Newton and Schulz's own, for any more.
QUINTICS = (
    (7.7110, -22.1138, 16.2487),
    (3.2153, -2.4112, 0.5013),
    (2.2183, -1.5940, 0.4107),
    (1.8842, -1.2602, 0.3760),
    (1.875, -1.25, 0.375),
)
# root mean square that an AdamW step typically has, which a Muon step is scaled to so that
# both can share a learning rate (Moonlight, arXiv 2502.16982)
ADAMW_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Orthogonalized momentum for the recurrent layers' matrices, Adam for all other weights.

    The step of a matrix is its momentum with all singular values made about equal
    (Jordan et al. 2024, "Muon"), by polynomials of the matrix (arXiv 2505.16932), scaled as
    arXiv 2502.16982 does. The embedding, the decoder and the biases take Adam's step, and are
    not decayed.

    Args:
        named_parameters: pairs of a name and a parameter, as ``Module.named_parameters`` has
            them; matrices below ``recurrent.`` are orthogonalized.
        momentum: of the matrices' gradients, taken with Nesterov's look-ahead.
        weight_decay: decoupled, of the matrices below ``recurrent.``
        betas: Adam's decay of the running averages of the gradient and of its square.
        eps: added to Adam's denominator.
        iterations: of Newton and Schulz's kind.
        threads: of a CPU, which share out the matrices; the weights do not depend on it.
    """

    threads = 1  # of a copy, too, which has no pool

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Tensor]],
        lr: Annotated[float, POSITIVE] = 8e-3,
        momentum: Annotated[float, BELOW_1] = 0.95,
        weight_decay: Annotated[float, NOT_NEGATIVE] = 0.01,
        betas: Annotated[list[float] | tuple[float, float], BETAS] = (0.9, 0.99),
        eps: Annotated[float, POSITIVE] = 1e-8,
        iterations: Annotated[int, AT_LEAST_1] = 2,
        threads: int = 1,
    ) -> None:
        pairs = list(named_parameters)
        names = {n for n, p in pairs if n.startswith("recurrent.") and p.ndim == 2}
        matrices = [p for name, p in pairs if name in names]
        others = [p for name, p in pairs if name not in names]
        groups = [
            {"params": matrices, "momentum": momentum, "iterations": iterations},
            {"params": others, "betas": tuple(betas), "eps": eps, "weight_decay": 0.0},
        ]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        self.threads = threads
        if threads > 1:
            each = (torch.get_num_threads(),)
            self._pool = ThreadPoolExecutor(threads, "muon", torch.set_num_threads, each)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step along the gradients; `closure` computes them anew, and its loss returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        matrices, others = self.param_groups
        taken = [p for p in matrices["params"] if p.grad is not None]
        for p in taken:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        largest_first = sorted(taken, key=Tensor.numel, reverse=True)
        share_out = self._pool.map if self.threads > 1 else map
        stepped = share_out(lambda p: self._orthogonal_step(p, matrices), largest_first)
        for p in others["params"]:
            if p.grad is not None:
                self._adam_step(p, p.grad, others)
        list(stepped)
        return loss

    @torch.no_grad()  # which is per thread
    def _orthogonal_step(self, p: Tensor, group: dict[str, Any]) -> None:
        assert p.grad is not None
        mean = self.state[p]["momentum"].lerp_(p.grad, 1 - group["momentum"])
        direction = p.grad.lerp(mean, group["momentum"])
        direction = orthogonalize(direction, group["iterations"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(direction, alpha=-group["lr"] * ADAMW_RMS * math.sqrt(max(p.shape)))

    def _adam_step(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
        state["step"] += 1
        (of_mean, of_square), step = group["betas"], state["step"]
        mean = state["mean"].lerp_(gradient, 1 - of_mean)
        square = state["square"].mul_(of_square).addcmul_(gradient, gradient, value=1 - of_square)
        root = (square / (1 - of_square**step)).sqrt_().add_(group["eps"])
        p.addcdiv_(mean, root, value=-group["lr"] / (1 - of_mean**step))


def orthogonalize(matrix: Tensor, iterations: int) -> Tensor:
    """About U V^T of a matrix (m, n) = U S V^T.

    An iteration takes X to (a I + b G + c G G) X with G = X X^T. All of these factors are
    polynomials of the first G, so they are multiplied with each other, as matrices of the shorter
    side alone, and with X once in the end. The products are bf16 where that is faster.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    update = matrix.bfloat16() if device_has_bf16(matrix.device) else matrix
    update = update / (update.norm() + 1e-7)
    gram = update @ update.mT if wide else update.mT @ update
    factors = None
    for done in range(iterations):
        a, b, c = QUINTICS[min(done, len(QUINTICS) - 1)]
        # a factor without its a I, which bf16 would round
        factor = gram.addmm(gram, gram, beta=b, alpha=c)
        if done + 1 < iterations:
            inner = gram.addmm(factor, gram, beta=a)
            gram = inner.addmm(inner, factor, beta=a)
        if factors is None:
            factors = factor
            factors.diagonal().add_(a)
        else:
            factors = factors.addmm(factor, factors, beta=a)
    if factors is not None:
        update = factors @ update if wide else update @ factors
    return update.to(matrix.dtype)
