"""Runs in the order of their losses: as a table, as JSON and CSV, and in what a sweep says."""

from __future__ import annotations

import csv
import io
import os
import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, did_you_mean, short
from charrnn.files import replacing, short_path
from charrnn.runs import metrics_csv
from charrnn.runs.summary import Summary, summaries
from charrnn.say import duration, say, short_numbers

COLUMNS = ("loss", "val/loss", "step", "steps", "parameters", "seconds", "characters_per_second")
SEEDS = ("mean", "deviation", "seeds")  # of the losses of runs that differ in their seed alone
_LOSSES = ("loss", "val/loss", "mean", "deviation")
# what of them a person reads in a table, under which heading
_IN_TABLE = {"run": "run", "loss": "loss", "val/loss": "network alone", "step": "step",
             "seconds": "time", **dict(zip(SEEDS, SEEDS, strict=True))}  # fmt: skip
# which text it was, which stands over a table; and how often a run was interrupted
_NOT_COMPARED = ("data", "data.input_txt", "data.corpus", "data.input_h5", "data.input_json",
                 "resume", "trust")  # fmt: skip


@dataclass(frozen=True)
class Leaderboard:
    """Runs in order, whose names are told from a folder."""

    folder: Path
    runs: Sequence[Summary]

    @property
    def best(self) -> Summary | None:
        """The run whose model has the lowest loss as it writes, in whatever order they stand."""
        validated = [run for run in self.runs if run.loss is not None]
        return min(validated, key=lambda run: run.loss or 0.0, default=None)

    @property
    def options(self) -> list[str]:
        """Those that were given to some of the runs, and are not alike in all."""
        names = dict.fromkeys(name for run in self.runs for name in run.options)
        return [
            name
            for name in names
            if name not in _NOT_COMPARED and len({str(r.value(name)) for r in self.runs}) > 1
        ]

    def by_text(self) -> list[Leaderboard]:
        """One for each text and its split: losses on others are no rank."""
        groups: dict[tuple[Any, ...], list[Summary]] = {}
        # one that has no model yet counts among those of its config
        texts = {run.scored_on: run.fingerprint for run in self.runs if run.fingerprint}
        for run in self.runs:
            text = run.fingerprint or texts.get(run.scored_on)
            groups.setdefault((*run.scored_on, text), []).append(run)
        return [Leaderboard(self.folder, runs) for runs in groups.values()]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run: its name, its numbers, those of its seeds, what differs."""
        options = self.options
        seeds: dict[str, list[Summary]] = {}  # the runs that differ in their seed alone
        for run in self.runs:
            seeds.setdefault(run.config_without_seed, []).append(run)
        return [
            {
                "run": os.path.relpath(run.folder, self.folder),
                **{name: run.value(name) for name in COLUMNS},
                **_statistics(seeds[run.config_without_seed]),
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

    def table(self) -> str:
        """For a person: a table for each text."""
        boards = self.by_text()
        headings = [f"{board.runs[0].text}:\n" if len(boards) > 1 else "" for board in boards]
        return "\n\n".join(h + b._table() for h, b in zip(headings, boards, strict=True))

    def _table(self) -> str:
        rows = self.rows()
        # where no model has counts, and no run another seed
        same = {"val/loss"} if all(row["loss"] == row["val/loss"] for row in rows) else set()
        same |= {*SEEDS} if all(row["seeds"] <= 1 for row in rows) else set()
        columns = {
            name: [heading, *(_cell(name, row[name]) for row in rows)]
            for name, heading in {**_IN_TABLE, **{name: name for name in self.options}}.items()
            if name not in same
        }
        widths = {name: max(map(len, cells)) for name, cells in columns.items()}
        lines = [
            "  ".join(cell.rjust(widths[name]) for name, cell in zip(columns, line, strict=True))
            for line in zip(*columns.values(), strict=True)
        ]
        return "\n".join(lines)

    def remarks(self) -> list[str]:
        """For each text the command that samples from the best run."""
        lines, boards = [], self.by_text()
        for board in boards:
            if board.best is not None:
                of_text = f" on {board.best.text}" if len(boards) > 1 else ""
                path = shlex.quote(short_path(board.best.folder))
                lines.append(f"sample from the best{of_text}: charrnn sample checkpoint={path}")
        return lines


def leaderboard(folder: Path, runs: Sequence[Summary], sort: str = "loss") -> Leaderboard:
    """Put runs in order, those that lack the value last.

    Args:
        sort: a column or an option; with a minus before it, from the highest to the lowest.

    Raises:
        InputError: no run has it.
    """
    name = sort.removeprefix("-")
    name = {heading: column for column, heading in _IN_TABLE.items()}.get(name, name)
    rows = Leaderboard(folder, runs).rows()
    pairs = [(run, {**run.options, **row}) for run, row in zip(runs, rows, strict=True)]
    names = {*COLUMNS, *(name for _, row in pairs for name in row)}
    if name not in names:
        raise InputError(f"sort={short(name)}: no run has it{did_you_mean(name, names)}")
    ranked = [pair for pair in pairs if pair[1].get(name) is not None]
    unranked = [run for run, row in pairs if row.get(name) is None]
    ranked.sort(key=lambda pair: _order(pair[1][name]), reverse=sort.startswith("-"))
    return Leaderboard(folder, [*(run for run, _ in ranked), *unranked])


def _statistics(runs: Sequence[Summary]) -> dict[str, Any]:
    losses = [run.loss for run in runs if run.loss is not None]
    return {
        "mean": statistics.mean(losses) if losses else None,
        "deviation": statistics.stdev(losses) if len(losses) > 1 else None,
        "seeds": len(losses),
    }


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "seconds":
        return duration(value)
    return f"{value:.4f}" if name in _LOSSES else short_numbers(str(value))


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before texts by their letters."""
    as_number = metrics_csv.number(value)
    return as_number is None, as_number or 0.0, str(value)


# -- what a sweep says ---------------------------------------------------------------------


def tell_end(folder: Path, resume_command: str = "") -> None:
    """The leaderboard of a sweep's folder: on standard error, and as leaderboard.csv.

    Args:
        resume_command: goes on with a sweep that was not finished.
    """
    runs = summaries(folder)
    if not runs:
        return
    board = leaderboard(folder, runs)
    say(board.table())
    with replacing(folder / "leaderboard.csv") as temporary:
        temporary.write_text(board.csv(), "utf-8", "backslashreplace")
    say(f"sweep folder: {short_path(folder)}")
    if resume_command:
        say(f"what is missing or unfinished: {resume_command} goes on with it")
    for line in board.remarks():
        say(line)
