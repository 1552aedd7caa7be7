"""A small transformer in plain PyTorch, with the size that nanoGPT trains on a CPU.

4 blocks with 4 heads, width 128, windows of 64 characters, batches of 12, no dropout, no biases,
decoder tied to the embedding: 0.80 M parameters. AdamW, 100 steps of warmup, then a cosine from
1e-3 to 1e-4, gradients clipped to a norm of 1. The values are those of nanoGPT's recipe
`shakespeare_char` for a CPU; the code is new.

The validation loss is the mean over the split in overlapping windows. All but the first characters
have a context of 48 to 63 characters, close to the most that the model can use.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charrnn.data import open_data

WINDOW = 64
SCORED = 16  # scored characters at the end of each window


class Block(nn.Module):
    """Causal attention and a feedforward network, each with a norm before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        N, T, C = x.shape
        q, k, v = (
            part.view(N, T, self.heads, C // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(C, dim=-1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (N, heads, T, C / heads)
        x = x + self.out(y.transpose(1, 2).reshape(N, T, C))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """A decoder-only transformer: ids (N, T <= 64) -> logits (N, T, V)."""

    def __init__(
        self, vocabulary_size: int, width: int = 128, heads: int = 4, layers: int = 4
    ) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary_size, width)
        self.positions = nn.Embedding(WINDOW, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / (math.sqrt(2 * layers) if last else 1))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.characters(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.characters.weight.T


@torch.inference_mode()
def compute_validation_loss(model: nn.Module, ids: Tensor) -> float:
    """Return the loss of ids (n,) without the first, in nats per character."""
    model.eval()
    total = F.cross_entropy(model(ids[None, :WINDOW])[0], ids[1 : WINDOW + 1], reduction="sum")
    count = WINDOW
    starts = range(SCORED, len(ids) - WINDOW, SCORED)
    windows = torch.stack([ids[s : s + WINDOW + 1] for s in starts])
    for block in windows.split(256):
        logits = model(block[:, :-1])[:, -SCORED:]
        targets = block[:, -SCORED:]
        total += F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        count += targets.numel()
    model.train()
    return float(total) / count


def get_learning_rate(step: int, steps: int) -> float:
    """Return the rate of a step: the warmup, then the cosine."""
    if step < 100:
        return 1e-3 * (step + 1) / 101
    progress = (step - 100) / max(1, steps - 100)
    return 1e-4 + 0.5 * (1 + math.cos(math.pi * progress)) * 9e-4


def main() -> None:
    """Print the seconds of the training, and then the validation loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("h5", type=Path)
    parser.add_argument("json", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args()

    torch.manual_seed(1337)
    data = open_data(options.h5, options.json)
    train, val = (torch.from_numpy(data.get_split(split)[:]) for split in ("train", "val"))
    model = Transformer(len(data.vocabulary))
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
        fused=True,
    )
    start_time = time.perf_counter()
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = get_learning_rate(step, options.steps)
        starts = torch.randint(len(train) - WINDOW, (12,)).tolist()
        block = torch.stack([train[s : s + WINDOW + 1] for s in starts])
        logits = model(block[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), block[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(time.perf_counter() - start_time, compute_validation_loss(model, val))


if __name__ == "__main__":
    main()
