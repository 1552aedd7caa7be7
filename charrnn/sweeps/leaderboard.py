"""Runs in the order of what they reached, as a table, as CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.files import replacing
from charrnn.runs.record import MISSING
from charrnn.say import duration, short_numbers
from charrnn.sweeps.summary import Summary

# how a table writes a column; the others are written as they are
_WRITTEN: dict[str, Callable[[Any], str]] = {
    "val/loss": "{:.4f}".format,
    "parameters": "{:,}".format,
    "seconds": duration,
    "characters_per_second": "{:,}".format,
}
_HEADINGS = {"seconds": "time", "characters_per_second": "characters/s"}


@dataclass(frozen=True)
class Leaderboard:
    """Runs, the best first.

    Attributes:
        folder: in which they lie; their names are told from there.
        runs: in order.
        options: what differs between them.
    """

    folder: Path
    runs: Sequence[Summary]
    options: Sequence[str]

    @property
    def best(self) -> Summary | None:
        """The run with the lowest validation loss, in whatever order they stand."""
        validated = [run for run in self.runs if run.loss is not None]
        return min(validated, key=lambda run: run.loss or 0.0, default=None)

    def sampling(self) -> str:
        """The command that samples from the best run; "" if none was validated."""
        if self.best is None:
            return ""
        return f"charrnn sample checkpoint={shlex.quote(shown(self.best.folder))}"

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run: its folder, its numbers, the options that differ."""
        return [
            {
                "run": os.path.relpath(run.folder, self.folder),
                **run.columns(),
                **{name: _plain(run.value(name)) for name in self.options},
            }
            for run in self.runs
        ]

    def table(self) -> str:
        """For a terminal; the run of a sweep is told by its number, since its options follow."""
        rows = self.rows()
        for row in rows:
            number, _, rest = row["run"].partition("_")
            row["run"] = number if number.isdecimal() and rest else row["run"]
        cells = [self._headings(), *map(_cells, rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = (zip(line, widths, strict=True) for line in cells)
        return "\n".join("  ".join(cell.rjust(width) for cell, width in line) for line in lines)

    def csv(self) -> str:
        content = io.StringIO()
        names = ["run", *Summary.COLUMNS, *self.options]
        writer = csv.DictWriter(content, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        return content.getvalue()

    def markdown(self) -> str:
        names = self._headings()
        lines = [names, ["---", *["---:"] * (len(names) - 1)], *map(_cells, self.rows())]
        table = "\n".join(f"| {' | '.join(map(_in_markdown, line))} |" for line in lines)
        command = self.sampling()
        return table + (f"\n\nSample from the best: `{command}`\n" if command else "\n")

    def write(self) -> None:
        """leaderboard.csv and leaderboard.md into the folder.

        Raises:
            RunError: they cannot be written.
        """
        for ending, text in (("csv", self.csv()), ("md", self.markdown())):
            with replacing(self.folder / f"leaderboard.{ending}") as temporary:
                temporary.write_text(text, encoding="utf-8")

    def _headings(self) -> list[str]:
        return [_HEADINGS.get(name, name) for name in ("run", *Summary.COLUMNS, *self.options)]


def leaderboard(folder: Path, runs: Sequence[Summary], sort: str = "val/loss") -> Leaderboard:
    """Put runs in order, those that lack the value last.

    Args:
        sort: a column or an option; with a minus before it, from the highest to the lowest.
    """
    name, descends = sort.removeprefix("-"), sort.startswith("-")
    have = [run for run in runs if _plain(run.value(name)) is not None]
    lack = [run for run in runs if _plain(run.value(name)) is None]
    have.sort(key=lambda run: _order(run.value(name)), reverse=descends)
    return Leaderboard(folder, [*have, *lack], differing(runs))


def differing(runs: Sequence[Summary]) -> list[str]:
    """The options that were given to some of the runs, or chosen, and are not alike in all."""
    names = dict.fromkeys(name for run in runs for name in run.options)
    names.pop("resume", None)  # says how often a run was interrupted
    return [name for name in names if len({str(_plain(run.value(name))) for run in runs}) > 1]


def shown(folder: Path) -> str:
    """A folder as a command takes it here."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative


def number(value: Any) -> float | None:
    """The number that a value is or says; None for another."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before texts by their letters."""
    as_number = number(value)
    return as_number is None, as_number or 0.0, str(value)


def _plain(value: Any) -> Any:
    return None if value is MISSING else value


def _in_markdown(cell: str) -> str:
    return cell.replace("|", "\\|")


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        "" if value is None else _WRITTEN.get(name, _as_text)(value) for name, value in row.items()
    ]


def _as_text(value: Any) -> str:
    return short_numbers(str(value))
