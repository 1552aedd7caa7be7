"""The training step on a GPU, and its memory, beside the bare loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from benchmarks.measuring import Ended, interleaved
from benchmarks.results import Part, Row, ratio, rounds_of
from benchmarks.sections.training import bare_loop
from benchmarks.workplace import Workplace, seconds_a_step

Peaks = dict[str, list[float]]

SHAPES = {(2, 128): ("<= 1.25", 3000), (3, 1024): ("<= 1.05", 600)}


def measure(place: Workplace) -> Part:
    import torch

    if not torch.cuda.is_available():
        return Part(notes=["Left out: this machine has no CUDA GPU."])
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    precision = "bf16-mixed" if native else "32-true"
    rows: list[Row] = []
    for (layers, hidden), (bar, full) in SHAPES.items():
        steps = place.effort.size(full, least=20)
        sizes = [f"model.num_layers={layers}", f"model.hidden_size={hidden}"]
        peaks: Peaks = {"charrnn": [], "bare": []}

        def charrnn(steps: int = steps, sizes: list[str] = sizes, peaks: Peaks = peaks) -> float:
            ended, peak = _watched(
                lambda: place.train(
                    *place.data_options, "trainer=gpu", f"trainer.max_steps={steps}", *sizes
                )[0]
            )
            peaks["charrnn"].append(peak)
            return seconds_a_step(ended, steps, f"step {steps} /")

        def bare(
            steps: int = steps, layers: int = layers, hidden: int = hidden, peaks: Peaks = peaks
        ) -> float:
            more = ("--num-layers", str(layers), "--hidden-size", str(hidden), "--device", "cuda")
            ended, peak = _watched(lambda: bare_loop(place, steps, precision, 1, *more))
            peaks["bare"].append(peak)
            return seconds_a_step(ended, steps, "done")

        parts = interleaved({"charrnn": charrnn, "bare": bare}, place.effort)
        name = f"{layers} x {hidden} ({precision})"
        for part in parts:
            rows.append(
                Row(f"{part}, a step at {name}", parts[part].median * 1e3, "ms",
                    rounds=rounds_of(parts[part]), values={"": parts[part].values})
            )  # fmt: skip
        rows.append(ratio(f"charrnn / bare loop at {name}", parts, "charrnn", "bare", bar))
        memory = max(peaks["charrnn"]) / max(peaks["bare"])
        rows.append(
            Row(f"GPU memory, charrnn / bare loop at {name}", memory, "x", "<= 1.1",
                rounds=rounds_of(parts["bare"]), values=peaks)
        )  # fmt: skip
    return Part(rows)


def _watched(call: Callable[[], Ended]) -> tuple[Ended, float]:
    """A process that ended, and the most GPU memory (MB) that was in use meanwhile."""
    import torch

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
