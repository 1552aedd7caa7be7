"""Rank runs, and show them as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import os
import shlex
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, shorten, suggest_name
from charrnn.files import replace_file, shorten_path
from charrnn.options.training import BEST_LOSS, BEST_LOSS_AS_WRITTEN
from charrnn.runs.folder import LEADERBOARD
from charrnn.runs.summary import Summary, find_best_run, name_ranking, summarize_runs, to_number
from charrnn.say import escape_unprintable, format_duration, say, shorten_numbers

# The headings of the table that differ from the names of the columns.
_HEADINGS = {
    "network_loss": "network alone",
    "network_mean": "network mean",
    "network_deviation": "network deviation",
    "seconds": "time",
}
_NOT_IN_TABLE = ("steps", "parameters", "characters_per_second", "text", "metric", "objective")
MAX_WIDTH = 120  # characters of a table
_LOSSES = ("loss", "mean", "deviation")
_NETWORK_LOSSES = ("network_loss", "network_mean", "network_deviation")
# Options that are not compared: the text is the table's title, and a resume adds the last two.
_NOT_COMPARED = ("data", "data.input_txt", "data.input_h5", "data.input_json",
                 "resume", "trust")  # fmt: skip


@dataclass(frozen=True)
class Leaderboard:
    """Ranked runs, named by their paths relative to a folder."""

    folder: Path
    runs: Sequence[Summary]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each run: its numbers, their mean over seeds, and the options that differ."""
        options = dict.fromkeys(name for run in self.runs for name in run.options)
        compared = [
            name
            for name in options
            if name not in _NOT_COMPARED and len({run.options.get(name) for run in self.runs}) > 1
        ]
        seeds = defaultdict(list)  # the numbers of runs that differ only in their seed
        for run in self.runs:
            if run.numbers["loss"] is not None:
                seeds[run.config_without_seed].append(run.numbers)
        rows = []
        for run in self.runs:
            same = seeds[run.config_without_seed]
            row: dict[str, Any] = {"run": os.path.relpath(run.folder, self.folder)}
            for names in (_LOSSES, _NETWORK_LOSSES):
                losses = [numbers[names[0]] for numbers in same]
                mean = statistics.mean(losses) if losses else None
                deviation = statistics.stdev(losses) if len(losses) > 1 else None
                row |= dict(zip(names, (run.numbers[names[0]], mean, deviation), strict=True))
            row |= {"seeds": len(same), **run.numbers, "text": run.text}
            rows.append({**row, **{name: run.options.get(name) for name in compared}})
        return rows

    def write_csv(self, path: Path) -> None:
        """Write the rows, sorted by mean so that runs with the same config are neighbours."""
        rows = sorted(self.rows, key=lambda row: (row["mean"] is None, row["mean"] or 0.0))
        with (
            replace_file(path) as temporary,
            open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    @property
    def numbers(self) -> dict[Path, dict[str, Any]]:
        """The numbers of each run, by its folder."""
        return {run.folder: run.numbers for run in self.runs}

    def describe(self) -> tuple[str, list[str]]:
        """Return a table for each text, and lines about hidden options and about the best run.

        Losses on different texts, or on different splits of a text, are not comparable.
        """
        # A run without a model has no fingerprint; it gets the one of runs with the same options.
        fingerprints = {run.scored_on: run.fingerprint for run in self.runs if run.fingerprint}
        groups = defaultdict(list)
        for run in self.runs:
            fingerprint = run.fingerprint or fingerprints.get(run.scored_on)
            groups[run.scored_on, fingerprint].append(run)
        tables, lines = [], []
        all_hidden: dict[str, None] = {}
        for runs in groups.values():
            text = runs[0].text
            name = escape_unprintable(text)
            title, of_text = (f"{name}:\n", f" on {name}") if len(groups) > 1 else ("", "")
            board = Leaderboard(self.folder, runs)
            table, hidden = board._format()
            tables.append(title + table)
            all_hidden |= dict.fromkeys(hidden)
            if best := find_best_run(board.numbers):
                path = shlex.quote(shorten_path(best))
                lines.append(f"sample from the best{of_text}: charrnn sample checkpoint={path}")
        if all_hidden:
            names = shorten(", ".join(all_hidden))
            lines.insert(0, f"too wide for the table: {names}; json=true and csv=FILE have them")
        return "\n\n".join(tables), lines

    def _format(self) -> tuple[str, list[str]]:
        """Return a table of at most `MAX_WIDTH` columns, and the options that it lacks.

        The widest options are left out. The name of a run is never cut, because commands take it.
        """
        rows = self.rows
        hidden = {*_NOT_IN_TABLE}
        if all(row["loss"] == row["network_loss"] for row in rows):
            hidden.update(_NETWORK_LOSSES)  # They are equal if no model has counts.
        if all(row["seeds"] <= 1 for row in rows):
            hidden.update((*_LOSSES[1:], *_NETWORK_LOSSES[1:], "seeds"))
        columns: dict[str, list[str]] = {}
        for name in (name for name in rows[0] if name not in hidden):
            cells = [_HEADINGS.get(name, name), *(_format_cell(name, row[name]) for row in rows)]
            columns[name] = [*map(escape_unprintable, cells)]
        widths = {name: max(map(len, column)) for name, column in columns.items()}
        fixed = ("run", "seeds", *_LOSSES, *_NETWORK_LOSSES, *self.runs[0].numbers)
        options = sorted(widths.keys() - {*fixed}, key=lambda name: (widths[name], name))
        dropped = []
        while options and sum(widths.values()) + 2 * (len(widths) - 1) > MAX_WIDTH:
            dropped.append(options.pop())
            del widths[dropped[-1]], columns[dropped[-1]]
        lines = zip(*columns.values(), strict=True)
        table = "\n".join("  ".join(map(str.rjust, line, widths.values())) for line in lines)
        return table, dropped


def rank_runs(folder: Path, runs: Sequence[Summary], sort: str = "loss") -> Leaderboard:
    """Sort runs by a column or an option, with a minus before it in descending order.

    Runs without the value are last.
    """
    name = sort.removeprefix("-")
    columns = {heading: column for column, heading in _HEADINGS.items()}
    name = {"network": "network_loss", **columns}.get(name, name)
    rows = Leaderboard(folder, runs).rows
    rows = [{**run.options, **row} for run, row in zip(runs, rows, strict=True)]
    names = dict.fromkeys(name for row in rows for name in row)
    if name not in names:
        hint = suggest_name(name, names)
        raise InputError(f"sort={shorten(name)}: no such column or option{hint}")
    pairs = [(row.get(name), run) for row, run in zip(rows, runs, strict=True)]
    pairs.sort(key=lambda pair: _sort_key(pair[0]), reverse=sort.startswith("-"))
    pairs.sort(key=lambda pair: pair[0] is None)
    return Leaderboard(folder, [run for _, run in pairs])


def report_sweep(folder: Path, resume_command: str = "") -> None:
    """Print the leaderboard of a sweep and how to resume it; write leaderboard.csv."""
    if not (runs := summarize_runs(folder)):
        return
    ranking = name_ranking(Leaderboard(folder, runs).numbers)
    metric = BEST_LOSS_AS_WRITTEN if ranking == "loss" else runs[0].numbers["metric"]
    board = rank_runs(folder, runs, ranking)
    table, sample_lines = board.describe()
    say(f"the lowest {metric} first:", *table.split("\n"))
    say(f"sweep folder: {shorten_path(folder)}")
    if resume_command:
        say(f"some jobs are not finished; to resume the sweep: {resume_command}")
    for line in [*sample_lines, *_compare_winners(Leaderboard(folder, runs))]:
        say(line)
    board.write_csv(folder / LEADERBOARD)


def _compare_winners(board: Leaderboard) -> list[str]:
    """Return a line if the network's loss and the loss as written have different best runs."""
    names = ("loss", "network_loss")
    as_written, network = (find_best_run(board.numbers, name) for name in names)
    is_one_text = len({run.fingerprint for run in board.runs}) == 1
    if as_written is None or network is None or as_written == network or not is_one_text:
        return []
    first, second = (os.path.relpath(run, board.folder) for run in (as_written, network))
    return [f"{BEST_LOSS_AS_WRITTEN} is lowest in {first}, {BEST_LOSS} in {second}"]


def _sort_key(value: Any) -> tuple[bool, float, str]:
    """Return a key that sorts numbers by value, and other values alphabetically after them."""
    number = to_number(value)
    return number is None, number or 0.0, str(value)


def _format_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "seconds":
        return format_duration(value)
    return f"{value:.4f}" if name in _LOSSES + _NETWORK_LOSSES else shorten_numbers(str(value))
