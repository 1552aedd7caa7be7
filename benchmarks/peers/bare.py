"""A bare PyTorch loop with charrnn's network: a lower bound for the time of a training step.

It has the network, precision, windows, clipping and optimizer of torch-rnn's recipe, but no
Trainer, validation, logging or checkpoints, and it keeps the whole text in memory.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from charrnn.data import cut_streams, open_data
from charrnn.models.trained import Architecture
from charrnn.networks.network import Network, State, detach_state
from charrnn.processors import keep_freed_memory


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
    streams = cut_streams(data, "train", options.batch_size, options.seq_length)
    blocks = (streams.read_windows(k, k + 1) for k in range(streams.num_windows))
    windows = [
        tuple(torch.from_numpy(part).to(options.device) for part in (ids[:, :-1], ids[:, 1:]))
        for ids in blocks
    ]
    architecture = Architecture(
        hidden_size=options.hidden_size,
        num_layers=options.num_layers,
        dropout=0.0,
        skip="none",
        vocabulary_size=len(data.vocabulary),
    )
    network = Network(architecture).to(options.device)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, 2e-3, fused=True)
    precision = {"dtype": torch.bfloat16, "enabled": options.precision == "bf16-mixed"}
    state: State | None = None
    for step in range(options.steps):
        k = step % len(windows)
        inputs, targets = windows[k]
        with torch.autocast(options.device, **precision):
            logits, state = network(inputs, state if k else None)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        state = detach_state(state)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(parameters, 5.0)
        optimizer.step()
        if step == 0:
            print(f"step 1, loss {loss.item():.3f}", file=sys.stderr, flush=True)
    print(f"done, loss {loss.item():.3f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
