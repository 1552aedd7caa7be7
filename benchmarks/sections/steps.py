"""Measure the training step of torch-rnn's recipe in `charrnn train` and in its peers.

`charrnn train` runs with validation, samples, logging, checkpoints and TensorBoard. The time per
step is the time from the end of the first step to the end of the run, divided by the steps.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.measuring import Ended, measure_in_turns, run, time_call
from benchmarks.report import Row, make_ratio, make_row
from benchmarks.workplace import LENGTH, REPOSITORY, STREAMS, Workplace, measure_step
from charrnn.data import open_data
from charrnn.evaluation.stream_losses import compute_stream_loss
from charrnn.networks.network import make_network
from charrnn.processors import keep_freed_memory
from charrnn.runs.model_lookup import read_model


def measure(workplace: Workplace) -> list[Row]:
    steps = workplace.effort.size(1000, least=12)
    threads, precision = find_choices(workplace)
    setup = workplace, steps, precision, threads
    peaks: list[float] = []

    def train() -> float:
        ended, _ = workplace.train(*workplace.data_options, f"trainer.max_steps={steps}")
        peaks.append(float(ended.peak_bytes))
        return measure_step(ended, steps, "run folder:")

    def measure_peer(ended: Callable[[], Ended]) -> Callable[[], float]:
        return lambda: measure_step(ended(), steps, "done")

    arguments = (str(workplace.text), "--steps", str(steps))
    network = make_network(read_model(workplace.trained))
    ids = open_data(*workplace.data).get_split("val")
    torch.set_num_threads(threads)
    keep_freed_memory()

    def evaluate() -> float:
        """Return the seconds for as many characters as a training step has."""
        passes = [time_call(lambda: compute_stream_loss(network, ids)) for _ in range(3)]
        return median(passes) / len(ids) * STREAMS * LENGTH

    evaluate()
    parts = measure_in_turns(
        {
            "charrnn": train,
            "bare": measure_peer(lambda: run_bare_loop(*setup)),
            "keeping": measure_peer(lambda: run_bare_loop(*setup, "--keep")),
            "plain": measure_peer(lambda: run_peer(workplace, "plain", *arguments)),
            "evaluation": evaluate,
        },
        workplace.effort,
    )
    rows = [
        make_row(f"{what}, a step", "ms", parts[name], scale=1e3)
        for name, what in (
            ("charrnn", f"`charrnn train`, everything on ({precision}, {threads} threads)"),
            ("bare", f"bare PyTorch loop over the same network ({precision})"),
            ("keeping", f"the same, keeping its freed memory as charrnn does ({precision})"),
            ("plain", "plain nn.LSTM script (float32)"),
        )
    ]
    return [
        *rows,
        make_ratio("`charrnn train` / bare loop", parts, "charrnn", "bare", "<= 1.10"),
        make_ratio("`charrnn train` / bare loop that keeps its freed memory", parts, "charrnn",
              "keeping", "<= 1.10"),
        make_ratio("`charrnn train` / plain script", parts, "charrnn", "plain", "<= 0.5"),
        make_ratio("characters a second, validation / training", parts, "charrnn", "evaluation",
              ">= 2"),
        make_row("`charrnn train`, peak memory", "MB", peaks, scale=1e-6, bar="<= 700"),
    ]  # fmt: skip


def find_choices(workplace: Workplace, recipe: str = "torch_rnn") -> tuple[int, str]:
    """Return the number of threads and the precision that `charrnn train` chooses."""
    ended, _ = workplace.train(*workplace.data_options, "trainer.max_steps=2", recipe=recipe)
    lines = "\n".join(line for _, line in ended.lines)
    match = re.search(r"CPU, (\d+) threads?.*precision (\S+)", lines)
    assert match, lines
    return int(match[1]), match[2]


def run_bare_loop(
    workplace: Workplace, steps: int, precision: str, threads: int, *more: str
) -> Ended:
    h5, json = map(str, workplace.data)
    sizes = ("--steps", str(steps), "--precision", precision, "--threads", str(threads))
    return run_peer(workplace, "bare", h5, json, *sizes, *more)


def run_peer(workplace: Workplace, name: str, *words: str) -> Ended:
    """Run one of `benchmarks.peers`."""
    command = [sys.executable, "-m", f"benchmarks.peers.{name}", *words]
    return run(command, workplace.folder, {"PYTHONPATH": str(REPOSITORY)})
