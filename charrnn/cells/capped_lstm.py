"""An LSTM that is stepped through in Python, since no library has a kernel for a whole window.

It is called as a one-layer nn.LSTM with ``batch_first=True`` is, and holds the weights that it
holds. It costs two to four times its time on a CPU; docs/results.md says what it brings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, Tensor]


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
