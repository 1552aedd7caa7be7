"""How fast a split is scored, beside the training that it interrupts."""

from __future__ import annotations

from benchmarks.measuring import interleaved, seconds
from benchmarks.results import Part, ratio, row
from benchmarks.sections.training import chosen
from benchmarks.workplace import Workplace, seconds_a_step


def measure(place: Workplace) -> Part:
    import torch

    from charrnn.allocation import keep_freed_memory
    from charrnn.data import open_data
    from charrnn.evaluation import stream_loss
    from charrnn.model import load
    from charrnn.network import network_of

    keep_freed_memory()  # as `charrnn train` and `charrnn evaluate` do
    ids = open_data(*place.data).unread("val")
    network = network_of(load(place.trained).trained)
    first, _ = place.train(*place.data_options, "trainer.max_steps=2")
    threads, _ = chosen(first)
    torch.set_num_threads(threads)
    steps = place.effort.size(600, least=12)
    stream_loss(network, ids)

    def train() -> float:
        ended, _ = place.train(
            *place.data_options, f"trainer.max_steps={steps}", "validate_every=0"
        )
        return place.shape.characters / seconds_a_step(ended, steps, f"step {steps} /")

    def evaluate() -> float:
        times = [seconds(lambda: stream_loss(network, ids)) for _ in range(5)]
        return (len(ids) - 1) / sorted(times)[2]

    parts = interleaved({"evaluation": evaluate, "training": train}, place.effort)
    operations = place.shape.evaluation_operations()
    rows = [
        row(
            f"validation split, {len(ids) - 1:,} characters (float32, {threads} threads)",
            "characters/s",
            parts["evaluation"],
            limit=place.ceilings.float32 / operations,
            counted=f"{operations / 1e3:.0f} kFLOP a character, float32",
        ),
        ratio(
            "characters a second, evaluation / training", parts, "evaluation", "training", ">= 3"
        ),
    ]
    return Part(rows)
