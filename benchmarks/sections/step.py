"""A step of the recipe two_minutes by kind of work, beside `charrnn train`'s whole step.

The network alone is its forward and backward pass, each thread's share of the streams for
itself. What a run's step takes over that is the price of everything else.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.measuring import interleaved, seconds
from benchmarks.results import Part, ratio, row
from benchmarks.workplace import Workplace, seconds_a_step

STREAMS, LENGTH, HIDDEN, VOCABULARY = 32, 64, 256, 65
RECIPE = "two_minutes"


def measure(place: Workplace) -> Part:
    import torch

    from charrnn.cpu import cpu_has_bf16, keep_freed_memory
    from charrnn.models.trained import Architecture
    from charrnn.network import Network
    from charrnn.training import Muon
    from charrnn.training.batch_shards import BatchShardedLoss, cross_entropy

    keep_freed_memory()
    threads = torch.get_num_threads()
    steps = place.effort.size(200, least=12)
    repeats = place.effort.size(40, least=3)
    architecture = Architecture(
        hidden_size=HIDDEN, dropout=0.1, skip="sum", vocabulary_size=VOCABULARY
    )
    network = Network(architecture)
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    parameters = [p for _, p in named]
    ids = torch.randint(architecture.vocabulary_size, (STREAMS, LENGTH + 1))
    torch.set_num_threads(1)
    shared = BatchShardedLoss(network, threads)
    optimizer = Muon(named, threads=threads)
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    precision: dict[str, Any] = {"dtype": torch.bfloat16, "enabled": cpu_has_bf16()}

    def share(i: int) -> None:
        rows = ids[i::threads]
        generator = torch.Generator().manual_seed(i)
        with torch.autocast("cpu", **precision):
            logits, _ = shared.networks[i](rows[:, :-1], None, generator)
            torch.autograd.grad(cross_entropy(logits, rows[:, 1:]), parameters)

    def alone() -> None:
        list(pool.map(share, range(threads)))

    def gradients() -> None:
        with torch.autocast("cpu", **precision):
            loss, _ = shared(ids[:, :-1], ids[:, 1:], None)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)

    def median(call: Callable[[], object]) -> float:
        call()
        return statistics.median(seconds(call) for _ in range(repeats))

    def train() -> float:
        words = (*place.data_options, f"trainer.max_steps={steps}", "validate_every=0")
        ended, _ = place.train(*words, recipe=RECIPE)
        return seconds_a_step(ended, steps, f"step {steps} /")

    parts = interleaved(
        {
            "train": train,
            "alone": lambda: median(alone),
            "gradients": lambda: median(gradients),
            "optimizer": lambda: median(optimizer.step),
        },
        place.effort,
    )
    rows = [
        row(f"{what}, a step", "ms", parts[name], scale=1e3)
        for name, what in (
            ("train", "`charrnn train experiment=two_minutes`"),
            ("alone", f"its network alone, forward and backward, {threads} threads"),
            ("gradients", "the same with the gradients added up and clipped"),
            ("optimizer", "Muon"),
        )
    ]
    return Part(
        [*rows, ratio("`charrnn train` / network alone", parts, "train", "alone", "<= 1.25")]
    )
