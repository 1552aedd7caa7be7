"""Rows of the table, the table as Markdown, and the page that it stands on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from statistics import median

from benchmarks.workplace import REPOSITORY

PAGE = REPOSITORY / "docs" / "results.md"
END = "<!-- end of table -->"


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure of the table.

    Attributes:
        what: what was measured, and compared with what.
        value: in `unit`; the median of the rounds, or a ratio of two.
        bar: what must hold, such as "<= 1.10"; empty where nothing must.
    """

    what: str
    value: float
    unit: str
    bar: str = ""

    @property
    def met(self) -> bool:
        sense, bound = self.bar.split()
        return self.value <= float(bound) if sense == "<=" else self.value >= float(bound)


def row(what: str, unit: str, values: list[float], *, scale: float = 1.0, bar: str = "") -> Row:
    """A row of one part, its median times `scale`."""
    return Row(what, median(values) * scale, unit, bar)


def ratio(what: str, parts: dict[str, list[float]], over: str, under: str, bar: str = "") -> Row:
    """A row that compares two parts measured in turns: the ratio of their medians."""
    return Row(what, median(parts[over]) / median(parts[under]), "x", bar)


def table(rows: list[Row] | str) -> str:
    """Rows as Markdown, or the reason why a section was left out."""
    if isinstance(rows, str):
        return rows
    lines = ["|  | measured | must hold |", "| --- | ---: | ---: |"]
    for row in rows:
        bar = row.bar.replace("<=", "≤").replace(">=", "≥")
        if bar:
            bar += ", holds" if row.met else ", **missed**"
        lines.append(f"| {row.what} | {_number(row.value)} {row.unit} | {bar} |")
    return "\n".join(lines)


def write_on(page: Path, command: str, body: str) -> None:
    """Put what `make COMMAND` measured between its two marks of a page."""
    begin = f"<!-- table: make {command} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{begin}\n\n{body}\n\n{END}{after}", encoding="utf-8")


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
