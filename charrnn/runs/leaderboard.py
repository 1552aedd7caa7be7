"""Rank runs, and show them as a table and as JSON; write those of a sweep as CSV."""

from __future__ import annotations

import csv
import json
import os
import shlex
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, shorten, suggest_name
from charrnn.files import replace_file, shorten_path
from charrnn.runs.folder import LEADERBOARD, is_run
from charrnn.runs.model_lookup import find_best_file
from charrnn.runs.result import RESULT, Result, rank, read_result
from charrnn.say import escape_unprintable, format_duration, say

Row = dict[str, Any]
Rows = dict[Result, Row]  # of each run: the COLUMNS, and its options

TABLE = ("run", "text", "network_loss", "loss", "mean", "deviation", "seeds", "step", "seconds")
COLUMNS = (*TABLE, "counts_loss", "steps", "characters", "characters_per_second", "parameters",
           "optimized_metric", "objective")  # fmt: skip
_LOSSES = ("network_loss", "loss", "mean", "deviation")
_TEXT = ("data", "data.input_txt", "data.input_h5", "data.input_json")  # The text is a column.
_NOT_IN_LOSS = ("seed", "logger", "tags", *_TEXT)


def read_rows(folder: Path, base: Path) -> Rows:
    """Read the runs in or below a folder, without following links; name them from `base`.

    Skip runs without a readable result, and print their names on standard error.
    """
    rows: Rows = {}
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if (result := read_result(Path(place))) is not None:
            measured = {name: getattr(result, name, None) for name in COLUMNS}
            rows[result] = {**result.options, **measured, "run": os.path.relpath(place, base)}
            folders.clear()
        elif is_run(Path(place)):
            say(f"skipped a run: {Path(place, RESULT)} is missing or damaged")
            folders.clear()
    _add_means(rows)
    return rows


def _add_means(rows: Rows) -> None:
    """Add the mean network loss and its deviation over the runs that differ only in their seed."""
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    # Of several runs with one seed, which may be copies, the longest counts.
    for result in sorted(rows, key=lambda result: result.steps):
        if result.network_loss is not None:
            seed = str(result.options.get("seed"))
            groups[_describe_without_seed(result)][seed] = result.network_loss
    for result, row in rows.items():
        losses = groups[_describe_without_seed(result)].values()
        row["seeds"] = len(losses)
        row["mean"] = statistics.mean(losses) if losses else None
        row["deviation"] = statistics.stdev(losses) if len(losses) > 1 else None


def _describe_without_seed(result: Result) -> str:
    """Return the text and the options that change the loss, but for the seed."""
    options = {
        name: value
        for name, value in result.options.items()
        if name not in _NOT_IN_LOSS and not name.startswith("logger.")
    }
    return json.dumps([result.fingerprint, options], sort_keys=True)


def sort_by_text(rows: Rows) -> Rows:
    """Sort by text, and rank the runs on equal splits of one text."""
    groups = sorted(_group_by_text(rows), key=lambda group: group[0].text)
    return {run: rows[run] for group in groups for run in (*rank(group)[1], *group)}


def sort_rows(rows: Rows, sort: str) -> Rows:
    """Sort by a column or an option, with a minus before it in descending order.

    Numbers precede texts, and runs without the value are last.
    """
    name, names = sort.removeprefix("-"), {name for row in rows.values() for name in row}
    if name not in names:
        hint = suggest_name(name, sorted(names))
        raise InputError(f"sort={shorten(name)}: no such column or option{hint}")

    def make_key(result: Result) -> tuple[bool, float, str]:
        value = rows[result][name]
        is_number = isinstance(value, int | float)
        return not is_number, value if is_number else 0.0, str(value)

    runs = [result for result, row in rows.items() if row.get(name) is not None]
    runs.sort(key=make_key, reverse=sort.startswith("-"))
    return {result: rows[result] for result in (*runs, *rows)}


def list_rows(rows: Rows) -> list[Row]:
    """Return the rows with the `COLUMNS`, and with the options that differ between them."""
    values, names = rows.values(), dict.fromkeys(name for row in rows.values() for name in row)
    options = [name for name in names if name not in (*COLUMNS, *_TEXT)]
    different = [name for name in options if len({str(row.get(name)) for row in values}) > 1]
    return [{name: row.get(name) for name in (*COLUMNS, *different)} for row in values]


def format_table(rows: Rows) -> str:
    """Return the columns of `TABLE` as aligned text."""
    lines = [[_format_cell(name, row[name]) for name in TABLE] for row in rows.values()]
    widths = [max(map(len, column)) for column in zip(TABLE, *lines, strict=True)]
    return "\n".join("  ".join(map(str.rjust, line, widths)) for line in [TABLE, *lines])


def _format_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "seconds":
        return format_duration(value)
    return f"{value:.4f}" if name in _LOSSES else escape_unprintable(str(value))


def recommend_runs(rows: Rows) -> list[str]:
    """Return a line for each text that says how to sample from its best run."""
    groups, lines = _group_by_text(rows), []
    for group in groups:
        _, ranked = rank([run for run in group if find_best_file(run.folder)])
        for best in ranked[:1]:
            of_text = f" on {best.text}" if len(groups) > 1 else ""
            path = shlex.quote(shorten_path(best.folder))
            lines.append(f"sample from the best{of_text}: charrnn sample checkpoint={path}")
    return lines


def _group_by_text(rows: Rows) -> list[list[Result]]:
    """Return the runs whose losses are comparable: those on equal splits of one text."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in rows:
        groups[result.fingerprint].append(result)
    return list(groups.values())


def report_sweep(folder: Path, resume_command: str = "") -> None:
    """Print the leaderboard of a sweep and how to resume it; write leaderboard.csv."""
    if not (rows := read_rows(folder, folder)):
        return
    rows = sort_by_text(rows)
    say(f"the lowest {rank(rows)[0]} first:", *format_table(rows).split("\n"))
    say(f"sweep folder: {shorten_path(folder)}")
    if resume_command:
        say(f"some jobs are not finished; to resume the sweep: {resume_command}")
    for line in recommend_runs(rows):
        say(line)
    listed = list_rows(sort_rows(rows, "mean"))  # Runs that differ in their seed are neighbours.
    with (
        replace_file(folder / LEADERBOARD) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.DictWriter(file, [*listed[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
