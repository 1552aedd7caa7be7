"""Measure a large text: 1 GB of ASCII, and 1 GB in which every third character is multi-byte."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from benchmarks.inputs import Inputs
from benchmarks.measuring import measure_in_turns
from benchmarks.tables import Row, format_rows

SIZE = 1_000_000_000
MULTIBYTE = (
    "äöüßéèñçøłžđžščцыйжшλμπσωאבגדהו的一是不了人我在有他这あいうえおかきくけこ한국어글자😀🎉🚀"
)


def measure(inputs: Inputs) -> str:
    """Return the table of preprocessing, and of the memory of a training on the result."""
    size = inputs.scale_size(SIZE, least=100_000)
    if shutil.disk_usage(inputs.folder).free < 8 * size:
        return "Left out: not enough disk space for a text of 1 GB and its ids."
    text = inputs.text.read_text("utf-8").encode("ascii", "ignore").decode()
    texts = {"ASCII": text, "multi-byte": mix_with_multibyte(text[:300_000])}
    peaks: list[int] = []

    def measure_speed(path: Path) -> float:
        ended = inputs.run_charrnn("preprocess", f"input_txt={path}", "quiet=true")
        peaks.append(ended.peak_bytes)
        return path.stat().st_size / 1e6 / ended.seconds

    paths = {name: inputs.folder / f"{name}.txt" for name in texts}
    for name, path in paths.items():
        write_repeated(path, texts[name], size)
    parts = {name: partial(measure_speed, path) for name, path in paths.items()}
    speeds = measure_in_turns(parts, inputs.rounds)
    ids = paths["ASCII"].with_suffix("")
    training = inputs.run_charrnn(
        *("train", f"data.input_h5={ids}.h5", f"data.input_json={ids}.json"),
        *("experiment=torch_rnn", "trainer=cpu", "trainer.max_steps=100", "validate_every=0"),
    )
    command = f"`charrnn preprocess`, {size / 1e6:,.0f} MB of"
    return format_rows([
        *(Row(f"{command} {name}", speed, "MB/s") for name, speed in speeds.items()),
        Row("peak memory", max(peaks) / 1e6, "MB"),
        Row("`charrnn train` on these ids, 100 steps, peak memory", training.peak_bytes / 1e6,
            "MB"),
    ])  # fmt: skip


def mix_with_multibyte(text: str) -> str:
    """Replace every third character by one that UTF-8 writes with several bytes."""
    return "".join(
        MULTIBYTE[i // 3 % len(MULTIBYTE)] if i % 3 == 0 else c for i, c in enumerate(text)
    )


def write_repeated(path: Path, text: str, size: int) -> None:
    """Write a file of about `size` bytes that repeats a text."""
    block = text.encode()
    with path.open("wb") as file:
        for _ in range(max(1, size // len(block))):
            file.write(block)
