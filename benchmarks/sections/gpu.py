"""Compare the training step on a GPU, and its memory, with the bare loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import torch

from benchmarks.measuring import Ended, measure_in_turns
from benchmarks.report import Row, make_ratio, make_row
from benchmarks.sections.steps import run_bare_loop
from benchmarks.workplace import Workplace, measure_step
from charrnn.runs.hardware import can_train_in_bf16


def measure(workplace: Workplace) -> list[Row] | str:
    if not torch.cuda.is_available():
        return "Left out: this machine has no CUDA GPU."
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    bf16 = native and can_train_in_bf16("lstm", "cuda")
    precision = "bf16-mixed" if bf16 else "tf32-true"
    small, large = workplace.effort.size(3000, least=20), workplace.effort.size(600, least=20)
    return [
        *_compare_with_bare_loop(workplace, precision, 2, 128, small, "<= 1.25"),
        *_compare_with_bare_loop(workplace, precision, 3, 1024, large, "<= 1.05"),
    ]


def _compare_with_bare_loop(
    workplace: Workplace, precision: str, layers: int, hidden: int, steps: int, bar: str
) -> list[Row]:
    """Return the rows of a size: both steps, their ratio, and the ratio of their GPU memory."""
    peaks: dict[str, list[float]] = {"charrnn": [], "bare": []}

    def train() -> Ended:
        sizes = (f"model.num_layers={layers}", f"model.hidden_size={hidden}")
        limit = f"trainer.max_steps={steps}"
        return workplace.train(*workplace.data_options, "trainer=gpu", limit, *sizes)[0]

    def run_loop() -> Ended:
        more = ("--num-layers", str(layers), "--hidden-size", str(hidden), "--device", "cuda")
        return run_bare_loop(workplace, steps, precision, 1, *more)

    def measure_with_memory(name: str, program: Callable[[], Ended], last: str) -> float:
        ended, peak = _watch_memory(program)
        peaks[name].append(peak)
        return measure_step(ended, steps, last)

    parts = measure_in_turns(
        {
            "charrnn": lambda: measure_with_memory("charrnn", train, f"step {steps} /"),
            "bare": lambda: measure_with_memory("bare", run_loop, "done"),
        },
        workplace.effort,
    )
    memory = {name: [max(values)] for name, values in peaks.items()}
    shape = f"{layers} x {hidden} ({precision})"
    return [
        *(make_row(f"{name}, a step at {shape}", "ms", parts[name], scale=1e3) for name in parts),
        make_ratio(f"charrnn / bare loop at {shape}", parts, "charrnn", "bare", bar),
        make_ratio(
            f"GPU memory, charrnn / bare loop at {shape}", memory, "charrnn", "bare", "<= 1.1"
        ),
    ]


def _watch_memory(call: Callable[[], Ended]) -> tuple[Ended, float]:
    """Run a process, and return its result and the peak of the used GPU memory (MB)."""
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
