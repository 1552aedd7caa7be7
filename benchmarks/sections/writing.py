"""Measure how fast texts are written, with NumPy: one and several, without and with counts."""

from __future__ import annotations

from functools import partial

from benchmarks.inputs import Inputs
from benchmarks.measuring import measure_in_turns, time_call
from benchmarks.tables import Row, format_rows
from charrnn.model import load

# the number of texts that are written together -> the characters of each
LENGTHS = {1: 25_000, 16: 4_000, 64: 2_000}
COUNTS = {"none": "", "auto": ", with counts"}


def measure(inputs: Inputs) -> str:
    """Return the table of the characters per second."""
    model = load(inputs.model)

    def measure_speed(streams: int, counts: str) -> float:
        length = inputs.scale_size(LENGTHS[streams], least=20)
        write = partial(model.generate, length, num_samples=streams, seed=1, counts=counts)
        return streams * length / time_call(write)

    parts = {
        f"{'one text' if streams == 1 else f'{streams} texts together'}{title}": partial(
            measure_speed, streams, counts
        )
        for streams in LENGTHS
        for counts, title in COUNTS.items()
    }
    speeds = measure_in_turns(parts, inputs.rounds)
    return format_rows(Row(what, speed, "characters/s") for what, speed in speeds.items())
