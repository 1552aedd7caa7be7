"""How fast text is written: one stream, many, with NumPy and compiled, without and with counts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import Measured, interleaved, seconds
from benchmarks.results import Curve, Part, Row, row
from benchmarks.workplace import Workplace

if TYPE_CHECKING:
    from charrnn.model import Model

STREAMS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def measure(place: Workplace) -> Part:
    from charrnn.model import load

    model = load(place.trained / "model.safetensors")
    compiled = find_spec("numba") is not None
    size = place.effort.size
    cases = {
        "one": ("numpy", 1, size(25_000, least=20), 32),
        "together": ("numpy", 64, size(2_000, least=2), 32),
    }
    if compiled:
        cases |= {
            "compiled": ("numba", 1, size(60_000, least=20), 32),
            "whole": ("numba", 1, size(200_000, least=20), 8),
            "whole_together": ("numba", 64, size(20_000, least=2), 8),
        }
    speeds = {
        name if counts == "none" else f"{name}, counts": _speed(model, *case, counts)
        for name, case in cases.items()
        for counts in ("none", "auto")
    }
    if compiled:
        speeds["products"] = _products_alone(model, size(50_000, least=20))
    parts = interleaved(speeds, place.effort)
    bytes_ = place.shape.weight_bytes()
    from_cache = place.ceilings.cache / bytes_
    read = f"{bytes_ / 1e3:.0f} kB of weights a character, from the cache of one core"
    operations = place.shape.evaluation_operations()
    ceiling = place.ceilings.float32_one / operations

    def rows_of(
        what: str, name: str, bar: float, limit: float, counted: str, share: float
    ) -> list[Row]:
        """The network alone, and with its counts, which may cost so much of its speed."""
        alone = parts[name]
        return [
            row(what, "characters/s", alone, bar=f">= {bar:.0f}", limit=limit, counted=counted),
            row(f"{what}, with counts", "characters/s", parts[f"{name}, counts"],
                bar=f">= {share * alone.median:.0f}"),
        ]  # fmt: skip

    rows = rows_of("one stream, NumPy", "one", 25_000, from_cache, read, 1 / 3)
    if compiled:
        rows += rows_of("one stream, compiled (numba)", "compiled", 50_000, from_cache, read, 1 / 2)
        rows += _whole_rows(parts, cores=_cores())
    counted = f"{operations / 1e3:.0f} kFLOP a character, float32, one core"
    rows += rows_of("64 streams together, NumPy", "together", 120_000, ceiling, counted, 1 / 2)
    points = []
    for streams in STREAMS:
        length = size(max(200, 20_000 // streams), least=2)
        write = _speed(model, "numpy", streams, length, 32, "none")
        points.append((float(streams), max(write() for _ in range(3))))
    streams_curve = Curve(
        "streams",
        "Sampling many streams together",
        "streams",
        "characters a second",
        {"charrnn (NumPy)": points},
        {"operations, one core": [(float(streams), ceiling) for streams in STREAMS]},
    )
    notes = [] if compiled else ["Without numba, so nothing compiled."]
    return Part(rows, [streams_curve], notes)


def _speed(
    model: Model, engine: str, streams: int, length: int, precision: int, counts: str
) -> Callable[[], float]:
    """Characters a second of so many streams together."""
    how: dict[str, Any] = {"engine": engine, "precision": precision, "counts": counts}

    def write() -> float:
        call = lambda: model.generate(length, num_samples=streams, seed=1, **how)  # noqa: E731
        return length * streams / seconds(call)

    write()  # compiles, or loads what is compiled
    return write


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _products_alone(model: Model, times: int) -> Callable[[], float]:
    """Characters a second of one stream if there were nothing but its products of bytes."""
    import numba

    from charrnn.generation.numba_engine import NumbaEngine
    from charrnn.generation.numba_loop import add_dots
    from charrnn.generation.rounding import fold_rounded
    from charrnn.generation.whole_numbers import WholeEngine

    folded = fold_rounded(model.trained)
    engine = NumbaEngine(folded, WholeEngine(folded), whole=True)
    inputs, recurrent, decoder, steps = engine.weights
    z = np.zeros((1, steps.shape[1]), np.float32)
    bytes_, sizes = np.zeros((4, recurrent.shape[2] * 4), np.uint8), np.ones(4, np.float32)

    @numba.njit(nogil=True)
    def products(inputs, recurrent, decoder, steps, z, bytes_, sizes, times):  # type: ignore[no-untyped-def]
        for _ in range(times):
            for layer in range(len(recurrent)):
                if layer:
                    add_dots(inputs, layer, steps, layer, z, 0, 1, bytes_, sizes)
                add_dots(recurrent, layer, steps, layer, z, 0, 1, bytes_, sizes)
            add_dots(decoder, 0, steps, 0, z, 0, 1, bytes_, sizes)

    arguments = (inputs, recurrent, decoder, steps, z, bytes_, sizes)
    products(*arguments, 1)
    return lambda: times / seconds(lambda: products(*arguments, times))


def _whole_rows(parts: Mapping[str, Measured], cores: int) -> list[Row]:
    """Sampling with `precision=8`, beside its products alone and the compiled loop in float32."""
    one, floor, of_float = (parts[name].median for name in ("whole", "products", "compiled"))
    together = parts["whole_together"]
    several = 1.7 if cores > 1 else 1.0
    counted = "its products of bytes alone, one core"
    return [
        row("one stream, compiled, `precision=8`", "characters/s", parts["whole"],
            bar=f">= {max(0.65 * floor, 3 * of_float):.0f}", limit=floor, counted=counted),
        row("one stream, compiled, `precision=8`, with counts", "characters/s",
            parts["whole, counts"], bar=f">= {0.5 * floor:.0f}", limit=floor, counted=counted),
        row(f"64 streams, compiled, `precision=8`, {cores} cores", "characters/s", together,
            bar=f">= {several * one:.0f}"),
        row(f"64 streams, compiled, `precision=8`, {cores} cores, with counts", "characters/s",
            parts["whole_together, counts"], bar=f">= {0.5 * together.median:.0f}"),
    ]  # fmt: skip
