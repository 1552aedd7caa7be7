"""Measure preprocessing: 1 GB of ASCII, and 1 GB in which every third character is multi-byte."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.measuring import measure_in_turns
from benchmarks.report import Row, make_row
from benchmarks.workplace import Workplace

SIZE = 1_000_000_000
MULTIBYTE = (
    "äöüßéèñçøłžđžščцыйжшλμπσωאבגדהו的一是不了人我在有他这あいうえおかきくけこ한국어글자😀🎉🚀"
)


def measure(workplace: Workplace) -> list[Row] | str:
    size = workplace.effort.size(SIZE, least=100_000)
    if shutil.disk_usage(workplace.folder).free < 8 * size:
        return "Skipped: not enough disk space for a text of 1 GB and its ids."
    ascii_text = workplace.text.read_text(encoding="utf-8").encode("ascii", "ignore").decode()
    texts = {"ASCII": _write_repeated(workplace.folder / "ascii.txt", ascii_text, size)}
    mixed = "".join(
        MULTIBYTE[i // 3 % len(MULTIBYTE)] if i % 3 == 0 else c
        for i, c in enumerate(ascii_text[:300_000])
    )
    texts["multi-byte"] = _write_repeated(workplace.folder / "multibyte.txt", mixed, size)
    peaks: list[float] = []

    def measure_speed(name: str) -> float:
        output = workplace.folder / "preprocessed.h5"
        ended = workplace.charrnn(
            "preprocess", f"input_txt={texts[name]}", f"output_h5={output}", "quiet=true"
        )
        output.unlink()
        peaks.append(ended.peak_bytes / 1e6)
        return texts[name].stat().st_size / 1e6 / ended.seconds

    parts = measure_in_turns(
        {name: lambda name=name: measure_speed(name) for name in texts},  # type: ignore[misc]
        workplace.effort,
    )
    command = f"`charrnn preprocess`, {size / 1e6:.0f} MB of"
    rows = [make_row(f"{command} {name}", "MB/s", parts[name], bar=">= 60") for name in parts]
    rows.append(Row("peak memory", max(peaks), "MB", "<= 120"))
    for path in texts.values():
        path.unlink()
    return rows


def _write_repeated(path: Path, text: str, size: int) -> Path:
    """Write a file of about `size` bytes that repeats a text."""
    block = text.encode()
    with path.open("wb") as file:
        for _ in range(max(1, size // len(block))):
            file.write(block)
    return path
