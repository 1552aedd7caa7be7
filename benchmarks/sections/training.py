"""The training step of torch-rnn's recipe, through `charrnn train` and through its peers.

Everything is on in `charrnn train`: validation, samples, logging, checkpoints, TensorBoard.
What it takes from the end of the first step to the end of the run, validation and files
included, is divided by the steps.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.measuring import Ended, interleaved, run, seconds
from benchmarks.report import Row, ratio, row
from benchmarks.workplace import LENGTH, REPOSITORY, STREAMS, Workplace, seconds_a_step
from charrnn.data import open_data
from charrnn.evaluation.stream_losses import compute_stream_loss
from charrnn.networks.network import network_of
from charrnn.runs.freed_memory import keep_freed_memory
from charrnn.runs.model_lookup import read_model


def measure(place: Workplace) -> list[Row]:
    steps = place.effort.size(1000, least=12)
    threads, precision = chosen(place)
    peaks: list[float] = []

    def charrnn() -> float:
        ended, _ = place.train(*place.data_options, f"trainer.max_steps={steps}")
        peaks.append(float(ended.peak_bytes))
        return seconds_a_step(ended, steps, "run folder:")

    def of_peer(ended: Callable[[], Ended]) -> Callable[[], float]:
        return lambda: seconds_a_step(ended(), steps, "done")

    plain = (str(place.text), "--steps", str(steps))
    network = network_of(read_model(place.trained))
    ids = open_data(*place.data).get_split("val")
    torch.set_num_threads(threads)
    keep_freed_memory()

    def evaluate() -> float:
        """Seconds for as many characters as a training step has."""
        passes = [seconds(lambda: compute_stream_loss(network, ids)) for _ in range(3)]
        return median(passes) / len(ids) * STREAMS * LENGTH

    evaluate()
    parts = interleaved(
        {
            "charrnn": charrnn,
            "bare": of_peer(lambda: bare_loop(place, steps, precision, threads)),
            "keeping": of_peer(lambda: bare_loop(place, steps, precision, threads, "--keep")),
            "plain": of_peer(lambda: peer(place, "plain", *plain)),
            "evaluation": evaluate,
        },
        place.effort,
    )
    rows = [
        row(f"{what}, a step", "ms", parts[name], scale=1e3)
        for name, what in (
            ("charrnn", f"`charrnn train`, everything on ({precision}, {threads} threads)"),
            ("bare", f"bare PyTorch loop over the same network ({precision})"),
            ("keeping", f"the same, keeping its freed memory as charrnn does ({precision})"),
            ("plain", "plain nn.LSTM script (float32)"),
        )
    ]
    return [
        *rows,
        ratio("`charrnn train` / bare loop", parts, "charrnn", "bare", "<= 1.10"),
        ratio("`charrnn train` / bare loop that keeps its freed memory", parts, "charrnn",
              "keeping", "<= 1.10"),
        ratio("`charrnn train` / plain script", parts, "charrnn", "plain", "<= 0.5"),
        ratio("characters a second, validation / training", parts, "charrnn", "evaluation",
              ">= 2"),
        row("`charrnn train`, peak memory", "MB", peaks, scale=1e-6, bar="<= 700"),
    ]  # fmt: skip


def chosen(place: Workplace, recipe: str = "torch_rnn") -> tuple[int, str]:
    """The threads and the precision that `charrnn train` says it chooses."""
    ended, _ = place.train(*place.data_options, "trainer.max_steps=2", recipe=recipe)
    said = "\n".join(line for _, line in ended.lines)
    found = re.search(r"CPU, (\d+) threads?.*precision (\S+)", said)
    assert found, said
    return int(found[1]), found[2]


def bare_loop(place: Workplace, steps: int, precision: str, threads: int, *more: str) -> Ended:
    h5, json = map(str, place.data)
    sizes = ("--steps", str(steps), "--precision", precision, "--threads", str(threads))
    return peer(place, "bare", h5, json, *sizes, *more)


def peer(place: Workplace, name: str, *words: str) -> Ended:
    """Run one of `benchmarks.peers`."""
    command = [sys.executable, "-m", f"benchmarks.peers.{name}", *words]
    return run(command, place.folder, {"PYTHONPATH": str(REPOSITORY)})
