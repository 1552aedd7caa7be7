"""Runs in the order of their losses: as a table, as JSON and CSV, and in what a sweep says."""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn import metrics_csv
from charrnn.errors import RunError
from charrnn.files import replacing, short_path
from charrnn.say import duration, say, short_numbers, width_of
from charrnn.sweeps.summary import Summary, summaries

COLUMNS = ("val/loss", "step", "steps", "parameters", "seconds", "characters_per_second")
_FORMATS = {"val/loss": "{:.4f}", "parameters": "{:,}", "characters_per_second": "{:,}"}
_HEADINGS = {"seconds": "time", "characters_per_second": "characters/s"}
# the first that a narrow terminal does without
_LEAST_NEEDED = ("characters_per_second", "steps", "parameters", "step", "seconds")
# which text it was, which stands over a table; and how often a run was interrupted
_NOT_COMPARED = ("data", "data.input_txt", "data.corpus", "data.input_h5", "data.input_json",
                 "resume", "trust")  # fmt: skip


@dataclass(frozen=True)
class Leaderboard:
    """Runs in order.

    Attributes:
        folder: in which they lie; their names are told from there.
        options: those that were given to some of the runs, and are not alike in all.
    """

    folder: Path
    runs: Sequence[Summary]

    @property
    def best(self) -> Summary | None:
        """The run with the lowest validation loss, in whatever order they stand."""
        validated = [run for run in self.runs if run.loss is not None]
        return min(validated, key=lambda run: run.loss or 0.0, default=None)

    @property
    def options(self) -> list[str]:
        names = dict.fromkeys(name for run in self.runs for name in run.options)
        return [
            name
            for name in names
            if name not in _NOT_COMPARED and len({str(r.value(name)) for r in self.runs}) > 1
        ]

    def by_text(self) -> list[Leaderboard]:
        """One for each text, split and share of it: losses on others are no rank."""
        groups: dict[tuple[str, ...], list[Summary]] = {}
        for run in self.runs:
            groups.setdefault(run.scored_on, []).append(run)
        return [Leaderboard(self.folder, runs) for runs in groups.values()]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run: its folder, its numbers, those of its seeds, what differs."""
        options, of_seeds = self.options, self._losses_of_seeds()
        return [
            {
                "run": os.path.relpath(run.folder, self.folder),
                **{name: run.value(name) for name in COLUMNS},
                **_statistics(of_seeds[run.but_for_the_seed]),
                "text": run.text,
                **{name: run.value(name) for name in options},
            }
            for run in self.runs
        ]

    def csv(self) -> str:
        """The rows, the seeds of one run beside each other, the lowest mean first."""
        rows = sorted(self.rows(), key=lambda row: (row["mean"] is None, row["mean"] or 0.0))
        content = io.StringIO()
        writer = csv.DictWriter(content, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return content.getvalue()

    def table(self, width: int | None = None, most: int | None = None) -> str:
        """For a person: a table for each text.

        Args:
            width: of the terminal; what is least needed is left out until a table fits.
            most: runs of each text.
        """
        boards = self.by_text()
        tables = [board._table(width, most) for board in boards]
        if len(boards) > 1:
            names = [f"{b.runs[0].text}, {_count(len(b.runs), 'run')}" for b in boards]
            tables = [f"{name}\n{table}" for name, table in zip(names, tables, strict=True)]
        return "\n\n".join(tables)

    def _table(self, width: int | None, most: int | None) -> str:
        names = {name: _HEADINGS.get(name, name) for name in ("run", *COLUMNS, *self.options)}
        rows = [{name: _cell(name, row[name]) for name in names} for row in self.rows()[:most]]
        columns = {name: (names[name], *(row[name] for row in rows)) for name in names}
        if width is not None and _breadth(columns) > width:
            # jobs of a sweep are told by their numbers, since their options follow
            columns["run"] = tuple(
                re.sub(r"((?:^|/)[0-9]+_).+", r"\1…", run) for run in columns["run"]
            )
        left_out = []
        for name in [*_LEAST_NEEDED, *reversed(self.options)]:
            if width is None or _breadth(columns) <= width:
                break
            left_out.append(names[name])
            del columns[name]
        widths = [max(map(len, column)) for column in columns.values()]
        lines = [
            "  ".join(cell.rjust(room) for cell, room in zip(line, widths, strict=True))
            for line in zip(*columns.values(), strict=True)
        ]
        notes = self._over_seeds()
        if most is not None and len(self.runs) > most:
            notes.append(f"{len(self.runs) - most} more: all=true shows them")
        if left_out:
            notes.append(f"left out for want of room: {', '.join(left_out)}; json=true has them")
        return "\n".join([*lines, *notes])

    def remarks(self) -> list[str]:
        """For each text where its files are, and the command that samples from the best run."""
        lines, boards = [], self.by_text()
        for board in boards:
            of = f" on {board.runs[0].text}" if len(boards) > 1 else ""
            if files := next((run.files for run in board.runs if run.files), ()):
                lines.append(f"ids{of}: {' and '.join(short_path(path) for path in files)}")
            if board.best is not None:
                path = shlex.quote(short_path(board.best.folder))
                lines.append(f"sample from the best{of}: charrnn sample checkpoint={path}")
        return lines

    def _losses_of_seeds(self) -> dict[str, list[float]]:
        """The losses of runs that differ in their seed alone."""
        losses: dict[str, list[float]] = {run.but_for_the_seed: [] for run in self.runs}
        for run in self.runs:
            if run.loss is not None:
                losses[run.but_for_the_seed].append(run.loss)
        return losses

    def _over_seeds(self) -> list[str]:
        lines, options = [], [name for name in self.options if name != "seed"]
        for alike, losses in self._losses_of_seeds().items():
            runs = [run for run in self.runs if run.but_for_the_seed == alike]
            seeds = sorted({str(run.value("seed")) for run in runs})
            if len(losses) > 1 and len(seeds) > 1:
                found = _statistics(losses)
                lines.append(
                    f"{_count(len(seeds), 'seed')} ({', '.join(seeds)}): mean {found['mean']:.4f}, "
                    f"deviation {found['deviation']:.4f}"
                    + "".join(f", {short_numbers(f'{n}={runs[0].value(n)}')}" for n in options)
                )
        return lines


def leaderboard(folder: Path, runs: Sequence[Summary], sort: str = "val/loss") -> Leaderboard:
    """Put runs in order, those that lack the value last.

    Args:
        sort: a column or an option; with a minus before it, from the highest to the lowest.
    """
    name = sort.removeprefix("-")
    have = [run for run in runs if run.value(name) is not None]
    lack = [run for run in runs if run.value(name) is None]
    have.sort(key=lambda run: _order(run.value(name)), reverse=sort.startswith("-"))
    return Leaderboard(folder, [*have, *lack])


def _statistics(losses: Sequence[float]) -> dict[str, Any]:
    return {
        "mean": statistics.mean(losses) if losses else None,
        "deviation": statistics.stdev(losses) if len(losses) > 1 else None,
        "seeds": len(losses),
    }


def _breadth(columns: dict[str, tuple[str, ...]]) -> int:
    return sum(max(map(len, column)) for column in columns.values()) + 2 * (len(columns) - 1)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "seconds":
        return duration(value)
    return _FORMATS[name].format(value) if name in _FORMATS else short_numbers(str(value))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before texts by their letters."""
    as_number = metrics_csv.number(value)
    return as_number is None, as_number or 0.0, str(value)


# -- what a sweep says ---------------------------------------------------------------------


def tell_end(folder: Path, again: str = "") -> None:
    """The leaderboard of a sweep's folder: on standard error, and as leaderboard.csv.

    Args:
        again: the command that goes on with a sweep that was not finished.
    """
    runs = summaries(folder)
    if not runs:
        return
    board = leaderboard(folder, runs)
    say(board.table(width_of(sys.stderr)))
    try:
        with replacing(folder / "leaderboard.csv") as temporary:
            temporary.write_text(board.csv(), encoding="utf-8")
    except RunError as error:  # what ended the sweep is to be told, not that this fails as well
        say(str(error))
    say(f"sweep folder: {short_path(folder)}")
    if again:
        say(f"what is missing or unfinished: {again} goes on with it")
    for line in board.remarks():
        say(line)


def progress(job: Path, jobs: int | None, seconds: float | None) -> str:
    """Which job begins, the best loss of those before it, and how long the sweep may take.

    Args:
        job: its folder, which is called by its number and the options that differ.
        jobs: how many there are; None where only the sweeper knows.
        seconds: that a job took so far, on average; None for the first.
    """
    number, _, options = job.name.partition("_")
    parts = [f"sweep: job {number}" + (f", {int(number) + 1} of {jobs}" if jobs else "")]
    parts[0] += f" ({short_numbers(options.replace(',', ' '))})" if options else ""
    runs = [path.parent for path in job.parent.glob("*/metrics.csv")]
    best = {run.name: row for run in runs if (row := metrics_csv.best(metrics_csv.read(run)))}
    if best:
        name, row = min(best.items(), key=lambda item: item[1]["val/loss"])
        parts.append(f"best so far {row['val/loss']:.4f} (job {name.partition('_')[0]})")
    if jobs and seconds is not None:
        parts.append(f"about {duration(seconds * (jobs - int(number)))} left")
    return "; ".join(parts)
