"""Rank runs, and show them as a table, as JSON and, for a sweep, as CSV."""

from __future__ import annotations

import csv
import json
import os
import shlex
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, shorten, suggest_name
from charrnn.files import replace_file, shorten_path
from charrnn.runs.folder import LEADERBOARD, find_best_file, find_runs
from charrnn.runs.result import RESULT, Result, rank, read_result
from charrnn.say import escape_unprintable, format_duration, say

Row = dict[str, Any]

TABLE = ("run", "text", "network_loss", "loss", "mean", "deviation", "seeds", "step", "seconds")
COLUMNS = (*TABLE, "counts_loss", "steps", "characters", "parameters",
           "optimized_metric", "objective")  # fmt: skip
_LOSSES = ("network_loss", "loss", "mean", "deviation")
_TEXT = ("data", "data.input_txt", "data.input_h5", "data.input_json")  # The text is a column.
_NOT_IN_LOSS = ("seed", "logger", "tags", *_TEXT)


def read_results(folder: Path) -> list[Result]:
    """Read the results in or below a folder, sorted by text; the best of a text is first.

    Skip runs without a readable result, and print their names on standard error.
    """
    results = []
    for run in find_runs(folder):
        if (result := read_result(run)) is not None:
            results.append(result)
        else:
            say(f"skipped a run: {run / RESULT} is missing or damaged")
    # Only losses on equal splits of a text are comparable.
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result.text):
        groups[result.fingerprint].append(result)
    return [result for group in groups.values() for result in rank(group)[1]]


def make_rows(results: Sequence[Result], base: Path) -> list[Row]:
    """Return the values of the `COLUMNS` for each run, and the options that differ between them.

    The mean and the deviation are of the network losses of runs that differ only in their seed.

    Args:
        base: the folder from which the runs are named.
    """
    losses: dict[str, dict[str, float]] = defaultdict(dict)
    for result in results:
        if result.network_loss is not None:  # Runs with the same seed count once.
            seed = str(result.options.get("seed"))
            losses[_describe_without_seed(result)][seed] = result.network_loss
    names = dict.fromkeys(name for result in results for name in result.options)
    options = [
        name
        for name in names
        if name not in _TEXT and len({str(result.options.get(name)) for result in results}) > 1
    ]
    rows = []
    for result in results:
        of_seeds = [*losses[_describe_without_seed(result)].values()]
        means = {
            "run": os.path.relpath(result.folder, base),
            "mean": statistics.mean(of_seeds) if of_seeds else None,
            "deviation": statistics.stdev(of_seeds) if len(of_seeds) > 1 else None,
            "seeds": len(of_seeds),
        }
        measured = {name: getattr(result, name, None) for name in COLUMNS}
        rows.append({**measured, **means, **{name: result.options.get(name) for name in options}})
    return rows


def _describe_without_seed(result: Result) -> str:
    """Return the text and the options that change the loss, but for the seed."""
    options = {
        name: value
        for name, value in result.options.items()
        if name not in _NOT_IN_LOSS and not name.startswith("logger.")
    }
    return json.dumps([result.fingerprint, options], sort_keys=True)


def sort_rows(rows: Sequence[Row], sort: str) -> list[Row]:
    """Sort by a column or an option that differs, with a minus before it in descending order.

    Runs without the value are last.
    """
    name = sort.removeprefix("-")
    if name not in rows[0]:
        hint = suggest_name(name, sorted(rows[0]))
        raise InputError(f"sort={shorten(name)}: no such column or option{hint}")
    known = [row for row in rows if row[name] is not None]
    are_numbers = all(isinstance(row[name], int | float) for row in known)
    known.sort(
        key=lambda row: row[name] if are_numbers else str(row[name]),
        reverse=sort.startswith("-"),
    )
    return [*known, *(row for row in rows if row[name] is None)]


def format_table(rows: Sequence[Row]) -> str:
    """Return the columns of `TABLE` as aligned text."""
    lines = [[_format_cell(name, row[name]) for name in TABLE] for row in rows]
    widths = [max(map(len, column)) for column in zip(TABLE, *lines, strict=True)]
    return "\n".join("  ".join(map(str.rjust, line, widths)) for line in [TABLE, *lines])


def _format_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "seconds":
        return format_duration(value)
    return f"{value:.4f}" if name in _LOSSES else escape_unprintable(str(value))


def report_sweep(folder: Path, resume_command: str = "") -> None:
    """Print the leaderboard of a sweep and how to resume it; write leaderboard.csv."""
    if not (results := read_results(folder)):
        return
    rows = make_rows(results, folder)
    say(f"the lowest {rank(results)[0]} first:", *format_table(rows).split("\n"))
    say(f"sweep folder: {shorten_path(folder)}")
    if resume_command:
        say(f"some jobs are not finished; to resume the sweep: {resume_command}")
    if find_best_file(results[0].folder):
        path = shlex.quote(shorten_path(results[0].folder))
        say(f"sample from the best: charrnn sample checkpoint={path}")
    with (
        replace_file(folder / LEADERBOARD) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
