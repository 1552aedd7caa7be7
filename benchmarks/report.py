"""What was found as one JSON file and one Markdown table.

A run of some sections replaces those in an earlier JSON and keeps the others; each section
says when it was measured.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.machine import description
from benchmarks.results import Part, Row
from benchmarks.sections import SECTIONS

BEGIN, END = "<!-- table: python -m benchmarks --docs -->", "<!-- end of table -->"


def update(path: Path, name: str, part: Part) -> dict[str, Any]:
    """Put a section into the JSON file, and return all that it holds."""
    everything = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    everything[name] = {
        "machine": description(),
        "date": date.today().isoformat(),
        **dataclasses.asdict(part),
    }
    ordered = {key: everything[key] for key in SECTIONS if key in everything}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_rounded(ordered), encoding="utf-8")
    return ordered


def _rounded(everything: dict[str, Any]) -> str:
    """JSON with short numbers, an innermost list a line."""

    def short(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}")
        if isinstance(value, dict):
            return {key: short(v) for key, v in value.items()}
        return [short(v) for v in value] if isinstance(value, list | tuple) else value

    text = json.dumps(short(everything), indent=1, ensure_ascii=False)
    return re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


# -- the table -------------------------------------------------------------------------


def markdown(everything: dict[str, Any]) -> str:
    """All sections' tables."""
    parts: list[str] = []
    for name, found in everything.items():
        rows = [Row(**row) for row in found["rows"]]
        if not rows and not found["notes"]:
            continue
        lines = [f"### {SECTIONS[name]}", ""]
        if rows:
            lines += _table(rows)
        if found["notes"]:
            lines += [*([""] if rows else []), "\n\n".join(found["notes"])]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> list[str]:
    head = ["", "measured", "must hold", "calm rounds"]
    cells = [head, ["---", "---:", "---:", "---:"]]
    for row in rows:
        bar = row.bar.replace("<=", "≤").replace(">=", "≥")
        if row.met is not None:
            bar += ", holds" if row.met else ", **missed**"
        cells.append([row.what, f"{_number(row.value)} {row.unit}", bar, row.rounds])
    return ["| " + " | ".join(row) + " |" for row in cells]


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def machines(everything: dict[str, Any]) -> str:
    """The machines that the sections were measured on, as Markdown."""
    lines: list[str] = []
    seen: set[str] = set()
    for found in everything.values():
        facts = "; ".join(f"{k} {v}" for k, v in found["machine"].items() if k != "processor")
        line = f"Measured on {found['machine']['processor']}; {facts}."
        if line not in seen:
            seen.add(line)
            lines.append(line)
    return "\n\n".join(lines)


def replace_table(page: Path, everything: dict[str, Any]) -> None:
    """Put the tables between the two marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = f"{BEGIN}\n\n{machines(everything)}\n\n{markdown(everything)}\n{END}"
    page.write_text(before + tables + after, encoding="utf-8")
