"""Format tables in Markdown, and write them into the pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import describe_origin
from benchmarks.measuring import REPOSITORY

PAGE = REPOSITORY / "docs" / "results.md"
README = REPOSITORY / "README.md"
END = "<!-- end of table -->"


class Row(NamedTuple):
    """A row of a section: a description, and a number with its unit."""

    what: str
    value: float
    unit: str


def format_rows(rows: Iterable[Row]) -> str:
    """Format the rows of a section as a table."""
    cells = ([row.what, f"{format_number(row.value)} {row.unit}"] for row in rows)
    return format_table(["", "measured"], cells)


def format_number(value: float) -> str:
    """Format a number with three digits or, from 100 on, as an integer."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def format_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], num_text_columns: int = 1
) -> str:
    """Format a table in Markdown. The columns after those of text are aligned to the right."""
    rule = ["---"] * num_text_columns + ["---:"] * (len(head) - num_text_columns)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def write_table(page: Path, name: str, body: str) -> None:
    """Replace a table between its two marks in a page (docs/marks.py).

    Args:
        name: of the mark: the target of make, and after a comma which of its tables this is.
    """
    begin = f"<!-- table: make {name} |"
    before, found, rest = page.read_text("utf-8").partition(begin)
    assert found, f"{page}: has no {begin}"
    _, _, after = rest.partition(END)
    mark = f"{begin} {describe_origin()} -->"
    page.write_text(f"{before}{mark}\n\n{body}\n\n{END}{after}", "utf-8")
