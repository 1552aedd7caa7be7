"""How fast text is written: one stream and many, NumPy and int8, without and with counts."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from benchmarks.measuring import measure_in_turns, time_call
from benchmarks.report import Row, make_ratio, make_row
from benchmarks.workplace import Workplace
from charrnn.model import Model, load

# streams, characters of each, precision, and what must hold without and with counts
CASES = {
    "one stream, NumPy": (1, 25_000, 32, 30_000, 12_000),
    "64 streams together, NumPy": (64, 2_000, 32, 120_000, 60_000),
    "one stream, `precision=8`": (1, 200_000, 8, 180_000, 90_000),
    "64 streams, `precision=8`": (64, 20_000, 8, 300_000, 150_000),
}


def measure(workplace: Workplace) -> list[Row]:
    model = load(workplace.trained / "model.safetensors")
    has_int8 = find_spec("numba") is not None
    speeds, bars = {}, {}
    for what, (streams, characters, precision, *must) in CASES.items():
        for counts, bar in zip(("none", "auto"), must, strict=True):
            if precision == 32 or has_int8:
                name = what if counts == "none" else f"{what}, with counts"
                length = workplace.effort.size(characters, least=20)
                speeds[name] = _make_measurement(model, streams, length, precision, counts)
                bars[name] = f">= {bar}"
    parts = measure_in_turns(speeds, workplace.effort)
    rows = [make_row(name, "characters/s", parts[name], bar=bars[name]) for name in speeds]
    int8, float32 = "one stream, `precision=8`", "one stream, NumPy"
    if int8 in parts:
        rows.append(make_ratio(f"{int8} / NumPy", parts, int8, float32, ">= 6"))
    return rows


def _make_measurement(
    model: Model, streams: int, length: int, precision: int, counts: str
) -> Callable[[], float]:
    """Return a function that measures the characters per second of `streams` streams."""
    how: dict[str, Any] = {"precision": precision, "counts": counts}

    def write() -> float:
        call = lambda: model.generate(length, num_samples=streams, seed=1, **how)  # noqa: E731
        return length * streams / time_call(call)

    write()  # Compile first, or load the compiled code.
    return write
