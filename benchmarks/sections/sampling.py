"""How fast text is written: one stream, many, with NumPy and compiled; the whole command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

from benchmarks.measuring import interleaved, run, seconds
from benchmarks.results import Curve, Part, Row, row
from benchmarks.workplace import CHARRNN, Workplace

STREAMS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def measure(place: Workplace) -> Part:
    from charrnn.model import Model, load

    path = place.trained / "model.safetensors"
    model = load(path)
    compiled = find_spec("numba") is not None

    def speed(model: Model, engine: str, streams: int, length: int) -> Callable[[], float]:
        def write() -> float:
            call = lambda: model.generate(length, num_samples=streams, seed=1, engine=engine)  # noqa: E731
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
