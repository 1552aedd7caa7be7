"""Rank runs, and show them as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import os
import shlex
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, shorten, suggest_name
from charrnn.files import replace_file, shorten_path
from charrnn.options.training import BEST_LOSS, BEST_LOSS_AS_WRITTEN
from charrnn.runs.folder import LEADERBOARD, is_run
from charrnn.runs.summary import Summary, find_best_run, name_ranking, to_number
from charrnn.say import escape_unprintable, format_duration, say, shorten_numbers

Row = dict[str, Any]  # of a run

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


def find_runs(folder: Path) -> list[Summary]:
    """Return the runs in or below a folder, sorted by path, without following links.

    Skip unreadable runs, and print their names on standard error.
    """
    runs = []
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_run(Path(place)):
            folders.clear()
            runs.append(Summary(Path(place)))
            try:
                _ = runs[-1].config
            except InputError as error:
                say(f"skipped a run: {error}")
                runs.pop()
    return runs


def rank_runs(runs: Sequence[Summary], base: Path, sort: str = "loss") -> list[Summary]:
    """Sort runs by a column or an option, with a minus before it in descending order.

    Runs without the value are last.
    """
    name = sort.removeprefix("-")
    columns = {heading: column for column, heading in _HEADINGS.items()}
    name = {"network": "network_loss", **columns}.get(name, name)
    rows = [{**run.options, **row} for run, row in zip(runs, make_rows(runs, base), strict=True)]
    names = dict.fromkeys(name for row in rows for name in row)
    if name not in names:
        hint = suggest_name(name, names)
        raise InputError(f"sort={shorten(name)}: no such column or option{hint}")
    pairs = [(row.get(name), run) for row, run in zip(rows, runs, strict=True)]
    pairs.sort(key=lambda pair: _make_sort_key(pair[0]), reverse=sort.startswith("-"))
    pairs.sort(key=lambda pair: pair[0] is None)
    return [run for _, run in pairs]


def _make_sort_key(value: Any) -> tuple[bool, float, str]:
    """Return a key that sorts numbers by value, and other values alphabetically after them."""
    number = to_number(value)
    return number is None, number or 0.0, str(value)


def make_rows(runs: Sequence[Summary], base: Path) -> list[Row]:
    """Return a row for each run: its path from `base`, its numbers and their mean over seeds.

    The options that differ between the runs follow the column `text`.
    """
    given = {run.folder: run.options for run in runs}
    names = dict.fromkeys(name for options in given.values() for name in options)
    different = [n for n in names if len({options.get(n) for options in given.values()}) > 1]
    # The runs that differ only in their seed. Of several with one seed, which may be copies, the
    # longest counts.
    seeds: dict[str, dict[str, Row]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: run.numbers["steps"]):
        if run.numbers["loss"] is not None:
            seeds[run.config_without_seed][str(run.config.get("seed"))] = run.numbers
    rows = []
    for run in runs:
        same = seeds[run.config_without_seed].values()
        row: Row = {"run": os.path.relpath(run.folder, base)}
        for loss, mean, deviation in (_LOSSES, _NETWORK_LOSSES):
            losses = [numbers[loss] for numbers in same]
            row[loss] = run.numbers[loss]
            row[mean] = statistics.mean(losses) if losses else None
            row[deviation] = statistics.stdev(losses) if len(losses) > 1 else None
        row |= {"seeds": len(same), **run.numbers, "text": run.text}
        options = {n: given[run.folder].get(n) for n in different if n not in _NOT_COMPARED}
        rows.append({**row, **options})
    return rows


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the rows, sorted by mean so that runs with the same config are neighbours."""
    with (
        replace_file(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: (row["mean"] is None, row["mean"] or 0.0)))


def describe_runs(runs: Sequence[Summary], base: Path) -> tuple[str, list[str]]:
    """Return a table for each text, and lines about hidden options and about the best run.

    Losses on different texts, or on different splits of a text, are not comparable.
    """
    # A run without a model has no fingerprint; it gets the one of runs with the same options.
    fingerprints = {run.scored_on: f for run in runs if (f := run.facts.get("fingerprint"))}
    groups = defaultdict(list)
    for run in runs:
        fingerprint = run.facts.get("fingerprint") or fingerprints.get(run.scored_on)
        groups[run.scored_on, fingerprint].append(run)
    tables, lines = [], []
    hidden: dict[str, None] = {}
    for group in groups.values():
        name = escape_unprintable(group[0].text)
        title, of_text = (f"{name}:\n", f" on {name}") if len(groups) > 1 else ("", "")
        table, too_wide = _format_table(make_rows(group, base))
        tables.append(title + table)
        hidden |= dict.fromkeys(too_wide)
        if best := find_best_run(group):
            path = shlex.quote(shorten_path(best))
            lines.append(f"sample from the best{of_text}: charrnn sample checkpoint={path}")
    if hidden:
        names = shorten(", ".join(hidden))
        lines.insert(0, f"too wide for the table: {names}; json=true and csv=FILE have them")
    return "\n\n".join(tables), lines


def _format_table(rows: Sequence[Row]) -> tuple[str, list[str]]:
    """Return a table of at most `MAX_WIDTH` columns, and the options that it lacks.

    The widest options are left out. The name of a run is never cut, because commands take it.
    """
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
    names = [*rows[0]]
    options = columns.keys() & {*names[names.index("text") + 1 :]}
    widest_last = sorted(options, key=lambda name: (widths[name], name))
    too_wide = []
    while widest_last and sum(widths.values()) + 2 * (len(widths) - 1) > MAX_WIDTH:
        too_wide.append(widest_last.pop())
        del widths[too_wide[-1]], columns[too_wide[-1]]
    lines = zip(*columns.values(), strict=True)
    table = "\n".join("  ".join(map(str.rjust, line, widths.values())) for line in lines)
    return table, too_wide


def _format_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "seconds":
        return format_duration(value)
    return f"{value:.4f}" if name in _LOSSES + _NETWORK_LOSSES else shorten_numbers(str(value))


def report_sweep(folder: Path, resume_command: str = "") -> None:
    """Print the leaderboard of a sweep and how to resume it; write leaderboard.csv."""
    if not (runs := find_runs(folder)):
        return
    ranking = name_ranking(runs)
    metric = BEST_LOSS_AS_WRITTEN if ranking == "loss" else runs[0].best["metric"]
    runs = rank_runs(runs, folder, ranking)
    table, sample_lines = describe_runs(runs, folder)
    say(f"the lowest {metric} first:", *table.split("\n"))
    say(f"sweep folder: {shorten_path(folder)}")
    if resume_command:
        say(f"some jobs are not finished; to resume the sweep: {resume_command}")
    for line in sample_lines:
        say(line)
    best, best_network = (find_best_run(runs, name) for name in ("loss", "network_loss"))
    is_one_text = len({run.facts.get("fingerprint") for run in runs}) == 1
    if best and best_network and best != best_network and is_one_text:
        first, second = (os.path.relpath(run, folder) for run in (best, best_network))
        say(f"{BEST_LOSS_AS_WRITTEN} is lowest in {first}, {BEST_LOSS} in {second}")
    write_csv(make_rows(runs, folder), folder / LEADERBOARD)
