"""Rank runs, and show them as a table and as JSON; write those of a sweep as CSV."""

from __future__ import annotations

import csv
import os
import shlex
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, shorten, suggest_name
from charrnn.files import replace_file, shorten_path
from charrnn.options.training import BEST_LOSS, BEST_LOSS_AS_WRITTEN
from charrnn.runs.folder import LEADERBOARD, is_run
from charrnn.runs.summary import Summary, find_best_run, name_ranking, to_number
from charrnn.say import escape_unprintable, format_duration, say

Row = dict[str, Any]
Rows = dict[Summary, Row]  # of each run: the COLUMNS, and the options of its command line

# The columns of the table, with their headings, and those that only JSON and CSV have as well.
_HEADINGS = {
    "run": "run", "text": "text", "loss": "loss", "network_loss": "network alone", "mean": "mean",
    "deviation": "deviation", "seeds": "seeds", "step": "step", "seconds": "time",
}  # fmt: skip
COLUMNS = (*_HEADINGS, "network_mean", "network_deviation", "steps", "parameters",
           "characters_per_second", "metric", "objective")  # fmt: skip
_LOSSES = ("loss", "network_loss", "mean", "deviation")
# Options that are not compared: the text is a column, and a resume adds the last two.
_NOT_COMPARED = ("data", "data.input_txt", "data.input_h5", "data.input_json",
                 "resume", "trust")  # fmt: skip


def read_rows(folder: Path, base: Path) -> Rows:
    """Read the runs in or below a folder, without following links; name them from `base`.

    Skip unreadable runs, and print their names on standard error.
    """
    rows: Rows = {}
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_run(Path(place)):
            folders.clear()
            run, name = Summary(Path(place)), os.path.relpath(place, base)
            try:
                row = {**run.options, **run.numbers, "run": name, "text": run.text}
                rows[run] = {**dict.fromkeys(COLUMNS), **row}
            except InputError as error:
                say(f"skipped a run: {error}")
    _add_means(rows)
    return rows


def _add_means(rows: Rows) -> None:
    """Add the mean and the deviation over the runs that differ only in their seed."""
    groups: dict[str, dict[str, Row]] = defaultdict(dict)
    # Of several runs with one seed, which may be copies, the longest counts.
    for run, row in sorted(rows.items(), key=lambda item: item[1]["steps"]):
        if row["loss"] is not None:
            groups[run.config_without_seed][str(run.config.get("seed"))] = row
    for run, row in rows.items():
        same = groups[run.config_without_seed].values()
        row["seeds"] = len(same)
        for prefix in ("", "network_"):
            losses = [loss for other in same if (loss := other[f"{prefix}loss"]) is not None]
            row[f"{prefix}mean"] = statistics.mean(losses) if losses else None
            row[f"{prefix}deviation"] = statistics.stdev(losses) if len(losses) > 1 else None


def sort_by_text(rows: Rows, number: str = "loss") -> Rows:
    """Sort by text, and runs on equal splits of one text by a number."""
    groups = _group_by_text(sort_rows(rows, number))
    groups.sort(key=lambda group: next(iter(group)).text)
    return {run: row for group in groups for run, row in group.items()}


def sort_rows(rows: Rows, sort: str) -> Rows:
    """Sort by a column or an option, with a minus before it in descending order.

    Runs without the value are last.
    """
    columns = {heading: name for name, heading in _HEADINGS.items()}
    name = sort.removeprefix("-")
    name = {**columns, "network": "network_loss"}.get(name, name)
    names = {name for row in rows.values() for name in row}
    if name not in names:
        hint = suggest_name(name, sorted(names))
        raise InputError(f"sort={shorten(name)}: no such column or option{hint}")
    runs = [run for run, row in rows.items() if row.get(name) is not None]
    runs.sort(key=lambda run: _make_sort_key(rows[run][name]), reverse=sort.startswith("-"))
    return {run: rows[run] for run in (*runs, *rows)}


def _make_sort_key(value: Any) -> tuple[bool, float, str]:
    """Return a key that sorts numbers by value, and other values alphabetically after them."""
    number = to_number(value)
    return number is None, number or 0.0, str(value)


def list_rows(rows: Rows) -> list[Row]:
    """Return the rows with the `COLUMNS`, and with the options that differ between them."""
    values, names = rows.values(), dict.fromkeys(name for row in rows.values() for name in row)
    options = [name for name in names if name not in (*COLUMNS, *_NOT_COMPARED)]
    different = [name for name in options if len({row.get(name) for row in values}) > 1]
    return [{name: row.get(name) for name in (*COLUMNS, *different)} for row in values]


def format_table(rows: Rows) -> str:
    """Return the columns of `_HEADINGS` as aligned text."""
    lines = [list(_HEADINGS.values())]
    lines += [[_format_cell(name, row[name]) for name in _HEADINGS] for row in rows.values()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)


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
        if best := find_best_run([run for run in group if run.is_readable]):
            of_text = f" on {best.text}" if len(groups) > 1 else ""
            path = shlex.quote(shorten_path(best.folder))
            lines.append(f"sample from the best{of_text}: charrnn sample checkpoint={path}")
    return lines


def _group_by_text(rows: Rows) -> list[Rows]:
    """Return the rows whose losses are comparable: those on equal splits of one text."""
    # A run without a model has no fingerprint; it gets the one of a text with the same name.
    fingerprints = {run.text: run.fingerprint for run in rows if run.fingerprint}
    groups: dict[str, Rows] = defaultdict(dict)
    for run, row in rows.items():
        groups[run.fingerprint or fingerprints.get(run.text, run.text)][run] = row
    return list(groups.values())


def report_sweep(folder: Path, resume_command: str = "") -> None:
    """Print the leaderboard of a sweep and how to resume it; write leaderboard.csv."""
    if not (rows := read_rows(folder, folder)):
        return
    ranking = name_ranking(rows)
    metric = BEST_LOSS_AS_WRITTEN if ranking == "loss" else next(iter(rows)).best["metric"]
    rows = sort_by_text(rows, ranking)
    say(f"the lowest {metric} first:", *format_table(rows).split("\n"))
    say(f"sweep folder: {shorten_path(folder)}")
    if resume_command:
        say(f"some jobs are not finished; to resume the sweep: {resume_command}")
    for line in recommend_runs(rows):
        say(line)
    best, best_network = (find_best_run(rows, name) for name in ("loss", "network_loss"))
    is_one_text = len(_group_by_text(rows)) == 1
    if best and best_network and best != best_network and is_one_text:
        first, second = (rows[run]["run"] for run in (best, best_network))
        say(f"{BEST_LOSS_AS_WRITTEN} is lowest in {first}, {BEST_LOSS} in {second}")
    _write_csv(rows, folder / LEADERBOARD)


def _write_csv(rows: Rows, path: Path) -> None:
    """Write the rows, sorted by mean so that runs with the same config are neighbours."""
    with (
        replace_file(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        listed = list_rows(sort_rows(rows, "mean"))
        writer = csv.DictWriter(file, list(listed[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
