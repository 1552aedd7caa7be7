"""What was found as one JSON file, one Markdown table, and a picture for each curve.

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

from benchmarks.machine import Ceilings, description
from benchmarks.results import Curve, Part, Row, part_of
from benchmarks.sections import SECTIONS

BEGIN, END = "<!-- table: python -m benchmarks --docs -->", "<!-- end of table -->"


def update(path: Path, name: str, part: Part, ceilings: Ceilings | None) -> dict[str, Any]:
    """Put a section into the JSON file, and return all that it holds."""
    everything = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    everything[name] = {
        "machine": description(),
        "ceilings": None if ceilings is None else dataclasses.asdict(ceilings),
        "date": date.today().isoformat(),
        **part.plain(),
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
        part = part_of({key: found[key] for key in ("rows", "curves", "notes")})
        if not part.rows and not part.notes:
            continue
        lines = [f"### {SECTIONS[name]}", ""]
        if part.rows:
            lines += _table(part.rows)
        if part.notes:
            lines += [*([""] if part.rows else []), "\n\n".join(part.notes)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> list[str]:
    head = ["", "measured", "must hold", "limit", "reached", "calm rounds"]
    cells = [head, ["---", "---:", "---:", "---", "---:", "---:"]]
    for row in rows:
        bar = row.bar.replace("<=", "≤").replace(">=", "≥")
        if row.met is not None:
            bar += ", holds" if row.met else ", **missed**"
        limit = "" if row.limit is None else f"{_number(row.limit)} {row.unit}: {row.counted}"
        share = "" if row.share is None else f"{row.share:.0%}"
        cells.append([row.what, f"{_number(row.value)} {row.unit}", bar, limit, share, row.rounds])
    return ["| " + " | ".join(row) + " |" for row in cells]


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def machines(everything: dict[str, Any]) -> str:
    """The machines and ceilings that the sections were measured with, as Markdown."""
    lines: list[str] = []
    seen: set[str] = set()
    for found in everything.values():
        facts = "; ".join(f"{k} {v}" for k, v in found["machine"].items() if k != "processor")
        line = f"Measured on {found['machine']['processor']}; {facts}."
        if line not in seen:
            seen.add(line)
            lines.append(line)
    ceilings = [found["ceilings"] for found in everything.values() if found["ceilings"]]
    if ceilings:
        best = {key: max(c[key] for c in ceilings) for key in ceilings[0]}
        lines.append(
            f"Ceilings: matrix product {best['float32'] / 1e9:.0f} GFLOP/s in float32 and "
            f"{best['bf16'] / 1e9:.0f} in bf16 on all cores, {best['float32_one'] / 1e9:.0f} in "
            f"float32 on one; {best['cache'] / 1e9:.0f} GB/s from the cache of one core, "
            f"{best['memory'] / 1e9:.0f} GB/s from memory."
        )
    return "\n\n".join(lines)


def replace_table(page: Path, everything: dict[str, Any]) -> None:
    """Put the tables between the two marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = f"{BEGIN}\n\n{machines(everything)}\n\n{markdown(everything)}\n{END}"
    page.write_text(before + tables + after, encoding="utf-8")


# -- pictures --------------------------------------------------------------------------

COLOURS = ("#1f5fa8", "#c2541b", "#3a7d44")


def draw(curve: Curve, path: Path) -> None:
    """A curve as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for (label, points), colour in zip(curve.lines.items(), COLOURS, strict=False):
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=label, markersize=4)
    for label, points in curve.limits.items():
        axes.plot(*zip(*points, strict=True), "--", color="#777777", label=f"limit: {label}")
    if "x" not in curve.linear:
        axes.set_xscale("log")
        xs = sorted({x for points in curve.lines.values() for x, _ in points})
        axes.set_xticks(xs)
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    if "y" in curve.linear:
        if "x" not in curve.linear:
            axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_tick))
        axes.yaxis.set_minor_formatter(FuncFormatter(_minor_tick))
    axes.set_xlabel(curve.across)
    axes.set_ylabel(curve.up)
    axes.set_title(curve.title)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _tick(value: float, _: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _minor_tick(value: float, position: int) -> str:
    return _tick(value, position) if f"{value:e}"[0] in "25" else ""
