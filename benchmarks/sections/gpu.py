"""The training step on a GPU, and its memory, beside the bare loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import torch

from benchmarks.measuring import Ended, interleaved
from benchmarks.report import Row, ratio, row
from benchmarks.sections.training import bare_loop
from benchmarks.workplace import Workplace, seconds_a_step
from charrnn.runs.hardware import trains_in_bf16


def measure(place: Workplace) -> list[Row] | str:
    if not torch.cuda.is_available():
        return "Left out: this machine has no CUDA GPU."
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    bf16 = native and trains_in_bf16("lstm", "cuda")
    precision = "bf16-mixed" if bf16 else "tf32-true"
    small, large = place.effort.size(3000, least=20), place.effort.size(600, least=20)
    return [
        *_beside_the_bare_loop(place, precision, 2, 128, small, "<= 1.25"),
        *_beside_the_bare_loop(place, precision, 3, 1024, large, "<= 1.05"),
    ]


def _beside_the_bare_loop(
    place: Workplace, precision: str, layers: int, hidden: int, steps: int, bar: str
) -> list[Row]:
    peaks: dict[str, list[float]] = {"charrnn": [], "bare": []}

    def train() -> Ended:
        sizes = (f"model.num_layers={layers}", f"model.hidden_size={hidden}")
        limit = f"trainer.max_steps={steps}"
        return place.train(*place.data_options, "trainer=gpu", limit, *sizes)[0]

    def loop() -> Ended:
        more = ("--num-layers", str(layers), "--hidden-size", str(hidden), "--device", "cuda")
        return bare_loop(place, steps, precision, 1, *more)

    def seconds(name: str, program: Callable[[], Ended], last: str) -> float:
        ended, peak = _watched(program)
        peaks[name].append(peak)
        return seconds_a_step(ended, steps, last)

    parts = interleaved(
        {
            "charrnn": lambda: seconds("charrnn", train, f"step {steps} /"),
            "bare": lambda: seconds("bare", loop, "done"),
        },
        place.effort,
    )
    memory = {name: [max(found)] for name, found in peaks.items()}
    shape = f"{layers} x {hidden} ({precision})"
    return [
        *(row(f"{name}, a step at {shape}", "ms", parts[name], scale=1e3) for name in parts),
        ratio(f"charrnn / bare loop at {shape}", parts, "charrnn", "bare", bar),
        ratio(f"GPU memory, charrnn / bare loop at {shape}", memory, "charrnn", "bare", "<= 1.1"),
    ]


def _watched(call: Callable[[], Ended]) -> tuple[Ended, float]:
    """A process that ended, and the most GPU memory (MB) that was in use meanwhile."""
    before = torch.cuda.mem_get_info()[0]
    least, done = [before], threading.Event()

    def watch() -> None:
        while not done.is_set():
            least.append(torch.cuda.mem_get_info()[0])
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = call()
    finally:
        done.set()
        watcher.join()
    return result, (before - min(least)) / 1e6
