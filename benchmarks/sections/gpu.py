"""Compare the training step on a GPU, and its memory, with a bare loop."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.inputs import Inputs
from benchmarks.sections.steps import BARE, compare_steps
from benchmarks.tables import format_rows

# layers, units of a layer, steps
SIZES = ((2, 128, 3000), (3, 1024, 600))


def measure(inputs: Inputs) -> str:
    """Return a table for each size of network. The memory is the GPU's."""
    if not torch.cuda.is_available():
        return "Left out: this machine has no CUDA GPU."
    free_bytes, _ = torch.cuda.mem_get_info()

    def read_gpu_memory(pid: int) -> int:
        return free_bytes - torch.cuda.mem_get_info()[0]

    inputs = replace(inputs, read_memory=read_gpu_memory)
    tables = []
    for layers, hidden, full in SIZES:
        network = (f"model.num_layers={layers}", f"model.hidden_size={hidden}")
        words = ("trainer=gpu", "experiment=torch_rnn", "validate_every=0", *network)
        rows = compare_steps(inputs, inputs.scale_size(full, least=20), words, BARE)
        tables.append(f"{layers} x {hidden}:\n\n{format_rows(rows)}")
    return "\n\n".join(tables)
