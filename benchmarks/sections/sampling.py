"""How fast text is written: one stream, many, with NumPy and compiled; the whole command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measuring import Measured, interleaved, run, seconds
from benchmarks.results import Curve, Part, Row, row
from benchmarks.workplace import CHARRNN, Workplace

if TYPE_CHECKING:
    from charrnn.model import Model

STREAMS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def measure(place: Workplace) -> Part:
    from charrnn.model import load

    path = place.trained / "model.safetensors"
    model = load(path)
    compiled = find_spec("numba") is not None

    def speed(
        model: Model, engine: str, streams: int, length: int, precision: int = 32
    ) -> Callable[[], float]:
        def write() -> float:
            call = lambda: model.generate(  # noqa: E731
                length, num_samples=streams, seed=1, engine=engine, precision=precision
            )
            return length * streams / seconds(call)

        write()  # compiles, or loads what is compiled
        return write

    size = place.effort.size
    speeds = {
        "numpy": speed(model, "numpy", 1, size(25_000, least=20)),
        "together": speed(model, "numpy", 64, size(2_000, least=2)),
    }
    if compiled:
        speeds["numba"] = speed(model, "numba", 1, size(60_000, least=20))
        speeds["whole"] = speed(model, "numba", 1, size(200_000, least=20), 8)
        speeds["whole_together"] = speed(model, "numba", 64, size(20_000, least=2), 8)
        speeds["products"] = _products_alone(model, size(50_000, least=20))
    parts = interleaved(speeds, place.effort)
    length = size(2000, least=20)
    commands = interleaved(
        {
            "sample": lambda: (
                run(
                    [*CHARRNN, "sample", f"checkpoint={path}", f"length={length}", "seed=1"],
                    place.folder,
                ).seconds
            ),
            "imports": lambda: (
                run([sys.executable, "-c", "import hydra, numpy"], place.folder).seconds
            ),
        },
        place.effort,
    )
    bytes_ = place.shape.weight_bytes()
    from_cache = place.ceilings.cache / bytes_
    read = f"{bytes_ / 1e3:.0f} kB of weights a character, from the cache of one core"
    operations = place.shape.evaluation_operations()
    rows: list[Row] = [
        row("one stream, NumPy", "characters/s", parts["numpy"], bar=">= 25000",
            limit=from_cache, counted=read),
        *(
            [row("one stream, compiled (numba)", "characters/s", parts["numba"], bar=">= 50000",
                 limit=from_cache, counted=read)]
            if compiled else []
        ),
        *(_whole_rows(parts, cores=_cores()) if compiled else []),
        row("64 streams together, NumPy", "characters/s", parts["together"], bar=">= 120000",
            limit=place.ceilings.float32_one / operations,
            counted=f"{operations / 1e3:.0f} kFLOP a character, float32, one core"),
        row(f"`charrnn sample length={length}` from a model file, the whole process", "s",
            commands["sample"], bar="<= 0.6", limit=commands["imports"].median,
            counted="importing Hydra and NumPy"),
    ]  # fmt: skip
    points = []
    for streams in STREAMS:
        write = speed(model, "numpy", streams, size(max(200, 20_000 // streams), least=2))
        points.append((float(streams), max(write() for _ in range(3))))
    ceiling = place.ceilings.float32_one / operations
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
    one, together = parts["whole"], parts["whole_together"]
    floor, of_float = parts["products"].median, parts["numba"].median
    several = 1.7 if cores > 1 else 1.0
    return [
        row("one stream, compiled, `precision=8`", "characters/s", one,
            bar=f">= {max(0.65 * floor, 3 * of_float):.0f}", limit=floor,
            counted="its products of bytes alone, one core"),
        row(f"64 streams, compiled, `precision=8`, {cores} cores", "characters/s", together,
            bar=f">= {several * one.median:.0f}"),
    ]  # fmt: skip
