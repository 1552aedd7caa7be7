"""How the cost of a training step grows with each size of the network and its windows.

The step of a bare loop, in precision and threads as `charrnn train` chooses them, and in
float32; one size at a time, the others at the default recipe's.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.limits import Shape
from benchmarks.measuring import interleaved
from benchmarks.results import Curve, Part, Points
from benchmarks.workplace import Workplace

SIZES: dict[str, list[int]] = {
    "hidden_size": [128, 256, 512, 1024],
    "num_layers": [1, 2, 3],
    "batch_size": [10, 25, 50, 100, 250, 500],
    "seq_length": [25, 50, 100, 200, 400],
    "vocabulary_size": [65, 250, 1000, 5000],
}
LEAST_STEPS = 3
CHOSEN, FLOAT32 = "as chosen", "float32"


def measure(place: Workplace) -> Part:
    from charrnn.processor import keep_freed_memory

    keep_freed_memory()  # as `charrnn train` does
    curves = [_curve(place, name, sizes) for name, sizes in SIZES.items()]
    return Part(curves=curves)


def _curve(place: Workplace, name: str, sizes: list[int]) -> Curve:
    lines: dict[str, Points] = {CHOSEN: [], FLOAT32: []}
    limits: Points = []
    for size in sizes:
        shape = place.shape.with_size(name, size)
        chosen = choice(shape)
        precision = chosen.precision
        parts = {CHOSEN: timed(shape, chosen, place.effort.scale)}
        if precision != "32-true":
            float32 = chosen._replace(precision="32-true")
            parts[FLOAT32] = timed(shape, float32, place.effort.scale)
        effort = dataclasses.replace(place.effort, rounds=min(3, place.effort.rounds))
        found = interleaved(parts, effort)
        for line in lines:
            seconds = found.get(line, found[CHOSEN]).median
            lines[line].append((float(size), seconds / shape.characters * 1e6))
        ceilings = place.ceilings
        ceiling = ceilings.float32 if precision == "32-true" else ceilings.bf16
        seconds = shape.step_operations() / shape.characters / ceiling
        limits.append((float(size), seconds * 1e6))
    label = name.replace("_", " ")
    return Curve(
        name.replace("_", "-"),
        f"Training and {label}",
        label,
        "microseconds a character",
        lines,
        {"operations, as chosen": limits},
    )


class Choice(NamedTuple):
    """How a step is computed.

    Attributes:
        threads: that share out the streams if there are as many shares, else each product.
    """

    precision: str
    threads: int
    shares: int


def choice(shape: Shape) -> Choice:
    """What `charrnn train` chooses on this CPU."""
    from charrnn.runs import hardware

    model = hardware.Model(shape.kind, shape.hidden_size, batchnorm=False)
    N = shape.batch_size
    threads = hardware.chosen_threads(model, N, os.cpu_count() or 1)
    precision = hardware.chosen_precision("cpu", model, N)
    return Choice(precision, threads, hardware.chosen_shares(model, N, threads))


def timed(shape: Shape, how: Choice, scale: float) -> Callable[[], float]:
    """A function that trains a few steps and returns the seconds of the middle one."""
    import torch

    from benchmarks.peers.bare import loop
    from charrnn.models.trained import Architecture
    from charrnn.network import Network
    from charrnn.training.batch_shards import BatchShardedLoss

    torch.manual_seed(1)
    architecture = Architecture(
        shape.kind,
        shape.embedding_size,
        shape.hidden_size,
        shape.num_layers,
        0.0,
        False,
        shape.vocabulary_size,
    )
    ids = torch.randint(shape.vocabulary_size, (shape.batch_size, shape.seq_length + 1))
    network = Network(architecture)
    torch.set_num_threads(how.threads // how.shares)
    train = loop(
        network,
        lambda k: (ids[:, :-1], ids[:, 1:]),
        precision=how.precision,
        windows=1 << 30,
        loss_of=BatchShardedLoss(network, how.shares) if how.shares > 1 else None,
    )

    def steps() -> float:
        torch.set_num_threads(how.threads // how.shares)
        train()
        times: list[float] = []
        until = time.perf_counter() + scale
        while len(times) < LEAST_STEPS or time.perf_counter() < until:
            began = time.perf_counter()
            train()
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    return steps
