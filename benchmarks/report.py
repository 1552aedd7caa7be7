"""Make the rows of a table, format it as Markdown, and write it into a page."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from statistics import median

from benchmarks.machine import describe_origin
from benchmarks.workplace import REPOSITORY

PAGE = REPOSITORY / "docs" / "results.md"
END = "<!-- end of table -->"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        what: a description of the figure.
        value: in `unit`; the median of the rounds, or a ratio of two medians.
        bar: the condition for the figure, such as "<= 1.10"; empty if there is none.
    """

    what: str
    value: float
    unit: str
    bar: str = ""

    @property
    def is_met(self) -> bool:
        sense, bound = self.bar.split()
        return self.value <= float(bound) if sense == "<=" else self.value >= float(bound)


def make_row(
    what: str, unit: str, values: list[float], *, scale: float = 1.0, bar: str = ""
) -> Row:
    """Return a row with the median of one part, times `scale`."""
    return Row(what, median(values) * scale, unit, bar)


def make_ratio(
    what: str, parts: dict[str, list[float]], over: str, under: str, bar: str = ""
) -> Row:
    """Return a row with the ratio of the medians of two parts."""
    return Row(what, median(parts[over]) / median(parts[under]), "x", bar)


def format_table(rows: list[Row] | str) -> str:
    """Format rows as Markdown, or return the reason why a section was skipped."""
    if isinstance(rows, str):
        return rows
    lines = ["|  | measured | must hold |", "| --- | ---: | ---: |"]
    for row in rows:
        bar = row.bar.replace("<=", "≤").replace(">=", "≥")
        if bar:
            bar += ", holds" if row.is_met else ", **missed**"
        lines.append(f"| {row.what} | {_format_number(row.value)} {row.unit} | {bar} |")
    return "\n".join(lines)


def remove_bars(tables: str) -> str:
    """Return tables without their last column. The bars are for developers."""
    return re.sub(r"^(\|.*\|)[^|]*\|$", r"\1", tables, flags=re.MULTILINE)


def write_table(page: Path, name: str, body: str) -> None:
    """Replace a table between its two marks in a page (docs/marks.py).

    Args:
        name: of the mark: the target of make, and after a comma which of its tables this is.
    """
    begin = f"<!-- table: make {name} |"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    assert found, f"{page}: has no {begin}"
    _, _, after = rest.partition(END)
    mark = f"{begin} {describe_origin()} -->"
    page.write_text(f"{before}{mark}\n\n{body}\n\n{END}{after}", encoding="utf-8")


def _format_number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
