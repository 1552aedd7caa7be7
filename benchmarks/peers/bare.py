"""Train charrnn's module in a bare PyTorch loop: a lower bound for the time of a training step.

It has the network, precision, threads, windows, clipping and optimizer of a run, but no Trainer,
schedule, validation, logging or checkpoints, and it keeps the whole text in memory.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from charrnn.data import cut_streams, open_data
from charrnn.networks.precision import set_float32_precision
from charrnn.processors import keep_freed_memory
from charrnn.training.optimizers import build_optimizer


def main() -> None:
    """Train as the decided options of a run say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of the run")
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args()

    config = OmegaConf.load(options.run / ".hydra" / "config.yaml")
    trainer, shards = config.trainer, config.model.num_batch_shards
    keep_freed_memory()
    torch.set_num_threads(max(1, config.threads // shards))
    torch.manual_seed(config.seed)
    device = "cuda" if trainer.accelerator == "gpu" else "cpu"
    data = open_data(Path(config.data.input_h5), Path(config.data.input_json))
    streams = cut_streams(data, "train", config.data.batch_size, config.data.seq_length)
    blocks = (streams.read_windows(k, k + 1) for k in range(len(streams)))
    windows = [torch.from_numpy(block).to(device) for block in blocks]
    module = instantiate(config.model, vocabulary=data.vocabulary).to(device)
    parameters = module.get_trained_parameters()
    optimizer = build_optimizer(parameters, module.make_optimizer, shards)
    by_value = trainer.gradient_clip_algorithm == "value"
    clip = nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_
    with set_float32_precision(tf32=config.tf32):
        for step in range(options.steps):
            k = step % len(windows)
            batch = windows[k][:, :-1], windows[k][:, 1:], k == 0
            with torch.autocast(device, torch.bfloat16, trainer.precision == "bf16-mixed"):
                loss = module.training_step(batch, step)
            optimizer.zero_grad()
            loss.backward()
            clip([parameter for _, parameter in parameters], trainer.gradient_clip_val)
            optimizer.step()
            if step in (0, options.steps - 1):
                print(f"step {step + 1:,}, loss {loss.item():.3f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
