"""Compare the recipe two_minutes with its network's step, and its training with a transformer's.

The network's step is forward and backward; each thread has its share of the streams. The
transformer is the one that nanoGPT trains on a CPU. The time of its validations is not counted;
that of charrnn's validations is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import torch

from benchmarks.measuring import measure_in_turns, time_call
from benchmarks.report import Row, make_ratio, make_row
from benchmarks.sections.steps import find_choices, run_peer
from benchmarks.workplace import Workplace, measure_step
from charrnn.models.trained import Architecture
from charrnn.networks.network import Network
from charrnn.processors import keep_freed_memory
from charrnn.training.batch_shards import BatchShardedLoss, cross_entropy

RECIPE = "two_minutes"
STREAMS, LENGTH = 32, 64
ARCHITECTURE = Architecture(hidden_size=256, dropout=0.1, skip="sum", vocabulary_size=65)
TRANSFORMER_STEPS = 2000
VALIDATION = re.compile(r"validation after step [\d,]+: loss ([\d.]+)")


def measure(workplace: Workplace) -> list[Row]:
    steps = workplace.effort.size(300, least=12)
    threads, precision = find_choices(workplace, RECIPE)
    alone = _make_network_measurement(threads, precision, workplace.effort.size(40, least=3))

    def train() -> float:
        words = (*workplace.data_options, f"trainer.max_steps={steps}", "validate_every=0")
        return measure_step(workplace.train(*words, recipe=RECIPE)[0], steps, f"step {steps} /")

    parts = measure_in_turns({"train": train, "alone": alone}, workplace.effort)
    return [
        make_row(f"`charrnn train experiment={RECIPE}`, a step", "ms", parts["train"], scale=1e3),
        make_row(f"its network alone, {threads} threads, a step", "ms", parts["alone"], scale=1e3),
        make_ratio("`charrnn train` / its network alone", parts, "train", "alone", "<= 1.25"),
        *_compare_with_transformer(workplace),
    ]


def _make_network_measurement(threads: int, precision: str, repeats: int) -> Callable[[], float]:
    """Return a function that measures the median seconds of a forward and a backward pass."""
    keep_freed_memory()
    shared = BatchShardedLoss(Network(ARCHITECTURE), threads)
    ids = torch.randint(ARCHITECTURE.vocabulary_size, (STREAMS, LENGTH + 1))
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def step_share(i: int) -> None:
        rows = ids[i::threads]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            logits, _ = shared.networks[i](rows[:, :-1], None, shared.generators[i])
            torch.autograd.grad(cross_entropy(logits, rows[:, 1:]), shared.parameters)

    def measure_step_time() -> float:
        step = lambda: list(pool.map(step_share, range(threads)))  # noqa: E731
        return median([time_call(step) for _ in range(repeats)])

    return measure_step_time


def _compare_with_transformer(workplace: Workplace) -> list[Row]:
    """Train both models once to the end, and validate them on the same characters."""
    steps = workplace.effort.size(TRANSFORMER_STEPS, least=4)
    h5, json = map(str, workplace.data)
    words = ("--steps", str(steps), "--validate-every", str(max(1, steps // 10)))
    printed = run_peer(workplace, "transformer", h5, json, *words).output.splitlines()
    _, trained, _ = printed[-1].split()
    limit = f"trainer.max_steps={workplace.effort.size(1500, least=4)}"
    ended, _ = workplace.train(*workplace.data_options, limit, recipe=RECIPE)
    losses = [float(match[1]) for _, line in ended.lines if (match := VALIDATION.search(line))]
    return [
        Row(f"a transformer of 0.80 million parameters, {steps:,} steps", float(trained), "s"),
        Row("its validation loss", min(float(line.split()[2]) for line in printed), "nats"),
        Row(f"`charrnn train experiment={RECIPE}`, the whole process", ended.seconds, "s"),
        Row("its validation loss, without counts", min(losses), "nats"),
    ]
