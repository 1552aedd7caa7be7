"""Recurrent modules that torch does not have: a minGRU, and an LSTM with a capped input gate.

The minGRU is that of "Were RNNs All We Needed?" (Feng et al. 2024, arXiv 2410.01201).

Gate and candidate read the input alone, so that the states of a whole window are a scan:

    z = sigmoid(W_z x + b_z)    h~ = W_h x + b_h    h' = (1 - z) h + z h~

This is the paper's plain version. Its other one, computed in log space, sends h~ through a
function that keeps it positive, so that it has a logarithm; on tiny-shakespeare (2 x 128, 1,500
steps) that trained worse, to a validation loss of 1.83 instead of 1.77. The scan below needs no
logarithms: it never divides, and is as stable as a loop over time.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MinGRU(nn.Module):
    """One layer, called as a one-layer nn.GRU with ``batch_first=True`` is.

    Its weights are z's and h~'s rows, stacked: ``weight_ih_l0`` (2H, D) and ``bias_ih_l0``.
    """

    def __init__(self, input_size: int, hidden_size: int, batch_first: bool = True) -> None:
        super().__init__()
        if not batch_first:
            raise ValueError("a MinGRU takes (N, T, D)")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(2 * hidden_size))
        nn.init.normal_(self.weight_ih_l0, std=input_size**-0.5)

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The states (N, T, H) after inputs (N, T, D), and the last one (1, N, H)."""
        # time first, so that what a step of the scan reads lies together
        sums = F.linear(inputs.transpose(0, 1), self.weight_ih_l0, self.bias_ih_l0)
        # in lower precision the states would lose what many steps add
        z, candidate = sums.to(torch.promote_types(sums.dtype, torch.float32)).chunk(2, -1)
        z = torch.sigmoid(z)
        before = torch.zeros_like(z[0]) if state is None else state[0].to(z.dtype)
        hidden: Tensor = _Scan.apply(1 - z, z * candidate, before)
        return hidden.transpose(0, 1), hidden[-1:]


class _Scan(torch.autograd.Function):
    """h[t] = a[t] h[t - 1] + b[t] for a and b (T, ...), from h[-1] = before; differentiable once.

    The gradients are a scan too, from the last step to the first, so that nothing but `a` and
    the states is kept for it.
    """

    @staticmethod
    def forward(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
        return scan(a, b, before)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        a, _, before = inputs
        ctx.save_for_backward(a, before, output)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, before, hidden = ctx.saved_tensors
        # the gradient of h[t] is its own, and that of h[t + 1] through a[t + 1]
        later = torch.cat([torch.zeros_like(a[:1]), a[1:].flip(0)])
        of_b = scan(later, gradient.flip(0), torch.zeros_like(before)).flip(0)
        of_a = of_b * torch.cat([before[None], hidden[:-1]])
        return of_a, of_b, a[0] * of_b[0]


def scan(a: Tensor, b: Tensor, before: Tensor, chunk: int | None = None) -> Tensor:
    """h[t] = a[t] h[t - 1] + b[t] for a and b (T, ...), from h[-1] = before (...).

    The window is cut into chunks, which are stepped through side by side as if each began at
    zero; what it really began with is then added, decayed by the product of `a` so far.

    Args:
        chunk: the length of one. By default the whole window on a CPU, where a step of all
            streams and units has enough to do, and the square root of it elsewhere, which
            takes the fewest steps one after another.
    """
    T = len(a)
    if chunk is None:
        chunk = T if a.device.type == "cpu" else math.ceil(math.sqrt(T))
    chunk = min(chunk, T)
    chunks = -(-T // chunk)
    if left := chunks * chunk - T:  # a = 1, b = 0 changes nothing
        a = torch.cat([a, a.new_ones(left, *a.shape[1:])])
        b = torch.cat([b, b.new_zeros(left, *b.shape[1:])])
    a, b = a.unflatten(0, (chunks, chunk)), b.unflatten(0, (chunks, chunk))
    hidden = torch.empty_like(b)
    if chunks == 1:
        torch.addcmul(b[:, 0], a[:, 0], before, out=hidden[:, 0])
        for t in range(1, chunk):
            torch.addcmul(b[:, t], a[:, t], hidden[:, t - 1], out=hidden[:, t])
        return hidden.flatten(0, 1)
    decay = a.cumprod(1)
    hidden[:, 0] = b[:, 0]
    for t in range(1, chunk):
        torch.addcmul(b[:, t], a[:, t], hidden[:, t - 1], out=hidden[:, t])
    begins = [before]
    for c in range(chunks - 1):
        begins.append(torch.addcmul(hidden[c, -1], decay[c, -1], begins[-1]))
    hidden.addcmul_(decay, torch.stack(begins)[:, None])
    return hidden.flatten(0, 1)[:T]


State = tuple[Tensor, Tensor]


# -- The LSTM with a capped input gate, stepped through in Python, since no library has a kernel
# for a whole window. It is called as a one-layer nn.LSTM with batch_first=True is, and holds the
# weights that it holds. It costs two to four times its time on a CPU; docs/results.md says what
# it brings.


class CappedLSTM(nn.Module):
    """An LSTM whose input gate cannot open further than its forget gate leaves room for.

    A cell then stays between -1 and 1, as an average of what it took in:

        c' = f c + min(i, 1 - f) g

    It is the cell of "On the State of the Art of Evaluation in Neural Language Models" (Melis et
    al. 2018, arXiv 1707.05589).

    Args:
        batch_first: must be true; it is there since nn.LSTM has it.
    """

    def __init__(self, input_size: int, hidden_size: int, batch_first: bool = True) -> None:
        super().__init__()
        if not batch_first:
            raise ValueError("a CappedLSTM takes (N, T, D)")
        self.hidden_size = hidden_size
        rows = 4 * hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(rows))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(rows))
        for weight in (self.weight_ih_l0, self.weight_hh_l0):
            nn.init.normal_(weight, std=hidden_size**-0.5)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The hidden vectors (N, T, H) after inputs (N, T, D), and the last h and c (1, N, H)."""
        read = F.linear(inputs, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0)
        if state is None:
            h = c = inputs.new_zeros(len(inputs), self.hidden_size)
        else:
            h, c = (part[0] for part in state)
        outputs = []
        for sums in read.unbind(1):
            h, c = self._step(sums + F.linear(h, self.weight_hh_l0), c)
            outputs.append(h)
        return torch.stack(outputs, 1), (h[None], c[None])

    @staticmethod
    def _step(sums: Tensor, c: Tensor) -> State:
        """The next h and c (N, H) from the sums (N, 4H) of the gates."""
        # in lower precision the cell would lose what many steps add
        i, f, g, o = sums.to(torch.promote_types(sums.dtype, torch.float32)).chunk(4, -1)
        f = torch.sigmoid(f)
        c = f * c + torch.minimum(torch.sigmoid(i), 1 - f) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
