"""The table: a row a figure, with the bar it is held against."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        bar: what it should be, as a text; "" where there is no bar.
        holds: whether it is; None where there is no bar.
        disturbed: rounds in which other programs took part of the processor.
    """

    section: str
    name: str
    value: float
    unit: str
    bar: str = ""
    holds: bool | None = None
    disturbed: int = 0


def at_most(section: str, name: str, value: float, unit: str, bar: float, off: int = 0) -> Row:
    return Row(section, name, value, unit, f"at most {bar:g}", value <= bar, off)


def at_least(section: str, name: str, value: float, unit: str, bar: float, off: int = 0) -> Row:
    return Row(section, name, value, unit, f"at least {bar:,.0f}", value >= bar, off)


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table, the machine above it."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in machine().items()),
        "",
        "| part | figure | median | bar | |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        value = f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"
        verdict = {None: "", True: "holds", False: "missed"}[row.holds]
        if row.disturbed:
            verdict += f" ({row.disturbed} disturbed rounds)"
        lines.append(f"| {row.section} | {row.name} | {value} {row.unit} | {row.bar} | {verdict} |")
    return "\n".join(lines) + "\n"


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    import torch

    from charrnn.training.hardware import cpu_has_bf16

    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "bf16": "native" if cpu_has_bf16() else "none",
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
