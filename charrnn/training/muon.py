"""Muon: orthogonalized momentum."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from charrnn.networks.precision import cpu_has_bf16
from charrnn.options.ranges import check_ranges
from charrnn.options.training import PartOptions
from charrnn.processors import get_torch_pool

# Coefficients a, b, c of the polynomials a s + b s^3 + c s^5, which are applied one after another
# and move singular values s between 0.02 and 1 towards 1. Each polynomial is optimal for the range
# of its predecessor's results (The Polar Express, arXiv 2505.16932). The last polynomial, which all
# later iterations use, is that of the Newton-Schulz iteration.
QUINTICS = (
    (7.7110, -22.1138, 16.2487),
    (3.2153, -2.4112, 0.5013),
    (2.2183, -1.5940, 0.4107),
    (1.8842, -1.2602, 0.3760),
    (1.875, -1.25, 0.375),
)
# The typical root mean square of an AdamW step. Muon's steps are scaled to it, so that both can
# use the same learning rate (Moonlight, arXiv 2502.16982).
ADAMW_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Orthogonalized momentum for the recurrent layers' matrices, Adam for all other weights.

    The step of a matrix is its momentum, transformed so that all singular values are about equal
    (Jordan et al. 2024, "Muon"), with the polynomials of arXiv 2505.16932 and the scale of
    arXiv 2502.16982. The embedding, the decoder and the biases are updated by Adam, without
    weight decay.

    Args:
        named_parameters: pairs of a name and a parameter, as ``Module.named_parameters`` returns
            them; matrices below ``recurrent.`` are orthogonalized.
        momentum: the coefficient of the matrices' Nesterov momentum.
        weight_decay: the decoupled weight decay of the matrices below ``recurrent.``
        betas: Adam's coefficients for the running averages of the gradient and of its square.
        eps: a term added to Adam's denominator.
        iterations: the number of polynomials, as in the Newton-Schulz iteration.
        threads: the CPU threads that share the matrices; the result does not depend on them.
    """

    threads = 1  # the value of a copy

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Tensor]],
        lr: float = 8e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        betas: Sequence[float] = (0.9, 0.99),
        eps: float = 1e-8,
        iterations: int = 2,
        threads: int = 1,
    ) -> None:
        check_ranges(PartOptions, lr=lr, momentum=momentum, weight_decay=weight_decay)
        check_ranges(PartOptions, betas=betas, eps=eps, iterations=iterations, threads=threads)
        pairs = list(named_parameters)
        names = {n for n, p in pairs if "recurrent." in n and p.ndim == 2}
        matrices = [p for name, p in pairs if name in names]
        others = [p for name, p in pairs if name not in names]
        groups = [
            {"params": matrices, "momentum": momentum, "iterations": iterations},
            {"params": others, "betas": tuple(betas), "eps": eps, "weight_decay": 0.0},
        ]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        self.threads = threads

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Perform a step. `closure`, if given, computes the gradients and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        matrices, others = self.param_groups
        with_gradient = [p for p in matrices["params"] if p.grad is not None]
        for p in with_gradient:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        largest_first = sorted(with_gradient, key=Tensor.numel, reverse=True)
        map_matrices = get_torch_pool(self.threads).map if self.threads > 1 else map
        steps = map_matrices(lambda p: self._update_matrix(p, matrices), largest_first)
        for p in others["params"]:
            if p.grad is not None:
                self._update_with_adam(p, p.grad, others)
        list(steps)  # waits for the threads, and raises their errors
        return loss

    @torch.no_grad()  # the grad mode is per thread
    def _update_matrix(self, p: Tensor, group: dict[str, Any]) -> None:
        assert p.grad is not None
        mean = self.state[p]["momentum"].lerp_(p.grad, 1 - group["momentum"])
        direction = p.grad.lerp(mean, group["momentum"])
        direction = orthogonalize(direction, group["iterations"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(direction, alpha=-group["lr"] * ADAMW_RMS * math.sqrt(max(p.shape)))

    def _update_with_adam(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
        state["step"] += 1
        (beta1, beta2), step = group["betas"], state["step"]
        mean = state["mean"].lerp_(gradient, 1 - beta1)
        square = state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        denominator = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        p.addcdiv_(mean, denominator, value=-group["lr"] / (1 - beta1**step))


def orthogonalize(matrix: Tensor, iterations: int) -> Tensor:
    """Return an approximation of U V^T for a matrix (m, n) = U S V^T.

    An iteration replaces X by (a I + b G + c G G) X with G = X X^T. All these factors are
    polynomials of the first G, with the size of the shorter side. So they are multiplied with each
    other first, and their product with X once. The products are in bf16 on a GPU, and on a CPU that
    has bf16.
    """
    is_wide = matrix.shape[0] <= matrix.shape[1]
    has_bf16 = matrix.is_cuda or (matrix.is_cpu and cpu_has_bf16())
    update = matrix.bfloat16() if has_bf16 else matrix
    update = update / (update.norm() + 1e-7)
    gram = update @ update.mT if is_wide else update.mT @ update
    product = None
    for iteration in range(iterations):
        a, b, c = QUINTICS[min(iteration, len(QUINTICS) - 1)]
        # The factor without a I, because bf16 would round the sum.
        factor = gram.addmm(gram, gram, beta=b, alpha=c)
        if iteration + 1 < iterations:
            half = gram.addmm(factor, gram, beta=a)
            gram = half.addmm(half, factor, beta=a)
        if product is None:
            product = factor
            product.diagonal().add_(a)
        else:
            product = product.addmm(factor, product, beta=a)
    if product is not None:
        update = product @ update if is_wide else update @ product
    return update.to(matrix.dtype)
