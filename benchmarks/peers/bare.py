"""The bare PyTorch loop over charrnn's own network: what a training step costs at least.

The same network, precision, windows, clipping and optimizer as the default recipe; no
Trainer, no validation, no logging, no checkpoints, and the whole text in memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from charrnn.cpu import keep_freed_memory
from charrnn.data import cut_streams, open_data
from charrnn.models.trained import Architecture
from charrnn.network import Network, State

Loss = Callable[[Tensor, Tensor, State | None], tuple[Tensor, State]]


def loop(
    network: Network,
    window: Callable[[int], tuple[Tensor, Tensor]],
    *,
    precision: str,
    windows: int,
    lr: float = 2e-3,
    clip: float = 5.0,
    loss_of: Loss | None = None,
) -> Callable[[], Tensor]:
    """A function that trains one step and returns its loss, on the network's own device.

    Args:
        window: inputs and targets (N, T) of a step.
        windows: steps in an epoch; the state starts at zero every so many.
        loss_of: computes the loss and the next state in another way than the usual one.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    device = parameters[0].device.type
    optimizer = torch.optim.Adam(parameters, lr, fused=True)
    state: State | None = None
    step = 0

    def train() -> Tensor:
        nonlocal state, step
        if step % windows == 0:
            state = None
        inputs, targets = window(step % windows)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            if loss_of is not None:
                loss, state = loss_of(inputs, targets, state)
            else:
                logits, state = network(inputs, state)
                loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        state = [tuple(part.detach() for part in layer) for layer in state]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(parameters, clip)
        optimizer.step()
        step += 1
        return loss.detach()

    return train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("h5", type=Path)
    parser.add_argument("json", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--num-layers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--seq-length", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", action="store_true", help="keep freed memory, as charrnn does")
    options = parser.parse_args()

    if options.keep:
        keep_freed_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    data = open_data(options.h5, options.json)
    T = options.seq_length
    streams = cut_streams(data, "train", options.batch_size, T)
    ids = streams.columns(0, streams.length + 1).astype("int64") - 1  # (N, L + 1)
    rows = torch.from_numpy(ids).to(options.device)
    architecture = Architecture(
        "lstm", 64, options.hidden_size, options.num_layers, 0.0, False, len(data.vocabulary)
    )
    train = loop(
        Network(architecture).to(options.device),
        lambda k: (rows[:, k * T : (k + 1) * T], rows[:, k * T + 1 : (k + 1) * T + 1]),
        precision=options.precision,
        windows=streams.windows,
    )
    loss = train()
    print(f"step 1, loss {loss.item():.3f}", file=sys.stderr, flush=True)
    for _ in range(options.steps - 1):
        loss = train()
    print(f"done, loss {loss.item():.3f}", file=sys.stderr, flush=True)
    if options.device == "cuda":
        print(torch.cuda.max_memory_allocated())


if __name__ == "__main__":
    main()
