"""How fast text is written: one stream and many, without and with counts."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measuring import measure_in_turns, time_call
from benchmarks.report import Row, make_row
from benchmarks.workplace import Workplace
from charrnn.model import Model, load

# streams, characters of each, and what must hold without and with counts
CASES = {
    "one stream, NumPy": (1, 25_000, 30_000, 12_000),
    "64 streams together, NumPy": (64, 2_000, 120_000, 60_000),
}


def measure(workplace: Workplace) -> list[Row]:
    model = load(workplace.trained / "model.safetensors")
    speeds, bars = {}, {}
    for what, (streams, characters, *must) in CASES.items():
        for counts, bar in zip(("none", "auto"), must, strict=True):
            name = what if counts == "none" else f"{what}, with counts"
            length = workplace.effort.size(characters, least=20)
            speeds[name] = _make_measurement(model, streams, length, counts)
            bars[name] = f">= {bar}"
    parts = measure_in_turns(speeds, workplace.effort)
    return [make_row(name, "characters/s", parts[name], bar=bars[name]) for name in speeds]


def _make_measurement(model: Model, streams: int, length: int, counts: str) -> Callable[[], float]:
    """Return a function that measures the characters per second of `streams` streams."""

    def write() -> float:
        call = lambda: model.generate(length, num_samples=streams, seed=1, counts=counts)  # noqa: E731
        return length * streams / time_call(call)

    write()  # Make the sampler first.
    return write
