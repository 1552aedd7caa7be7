"""How fast a split is scored, beside the training that it interrupts."""

from __future__ import annotations

import statistics

from benchmarks.measuring import interleaved, seconds
from benchmarks.results import Part, ratio, row
from benchmarks.sections.training import chosen, training_step
from benchmarks.workplace import LENGTH, STREAMS, Workplace


def measure(place: Workplace) -> Part:
    import torch

    from charrnn.cpu import keep_freed_memory
    from charrnn.data import open_data
    from charrnn.evaluation.stream_losses import stream_loss
    from charrnn.model import load
    from charrnn.network import network_of

    keep_freed_memory()  # as `charrnn train` and `charrnn evaluate` do
    ids = open_data(*place.data).unread("val")
    network = network_of(load(place.trained).trained)
    threads, _ = chosen(place)
    torch.set_num_threads(threads)
    steps = place.effort.size(600, least=12)
    stream_loss(network, ids)

    def train() -> float:
        return STREAMS * LENGTH / training_step(place, steps)

    def evaluate() -> float:
        times = [seconds(lambda: stream_loss(network, ids)) for _ in range(5)]
        return (len(ids) - 1) / statistics.median(times)

    parts = interleaved({"evaluation": evaluate, "training": train}, place.effort)
    what = f"validation split, {len(ids) - 1:,} characters (float32, {threads} threads)"
    return Part([
        row(what, "characters/s", parts["evaluation"]),
        ratio("characters a second, evaluation / training", parts, "evaluation", "training",
              ">= 2"),
    ])  # fmt: skip
