"""Runs in the order of what they reached: as a table, and in what a sweep says."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from charrnn import metrics_csv
from charrnn.errors import RunError
from charrnn.files import replacing, short_path
from charrnn.runs.recorded_config import MISSING, found
from charrnn.say import duration, fitted, say, short_numbers, width_of
from charrnn.sweeps.summary import Summary, summaries

# how a table writes a column; the others are written as they are
_WRITTEN: dict[str, Callable[[Any], str]] = {
    "val/loss": "{:.4f}".format,
    "parameters": "{:,}".format,
    "seconds": duration,
    "characters_per_second": "{:,}".format,
}
_HEADINGS = {"seconds": "time", "characters_per_second": "characters/s"}
# the first that a narrow terminal does without
_LEAST_NEEDED = ("characters_per_second", "steps", "parameters", "step", "seconds")
# which text it was; a table has it over it
_OF_THE_TEXT = ("data", "data.input_txt", "data.corpus", "data.input_h5", "data.input_json")


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
        return f"charrnn sample checkpoint={shlex.quote(short_path(self.best.folder))}"

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run: its folder, its numbers, the options that differ."""
        return [
            {
                "run": os.path.relpath(run.folder, self.folder),
                **run.columns(),
                "text": run.text,
                **{name: _plain(run.value(name)) for name in self.options},
            }
            for run in self.runs
        ]

    def remarks(self) -> list[str]:
        """For each text where its files are, and the command that samples from the best run."""
        lines = []
        groups = self._texts()
        for group in groups:
            of = f" on {group.runs[0].text}" if len(groups) > 1 else ""
            if files := next((run.files for run in group.runs if run.files), ()):
                lines.append(f"ids{of}: {' and '.join(short_path(path) for path in files)}")
            if command := group.sampling():
                lines.append(f"sample from the best{of}: {command}")
        return lines

    def _texts(self) -> list[Leaderboard]:
        """A leaderboard for each text."""
        texts: dict[tuple[str, str], list[Summary]] = {}
        for run in self.runs:
            texts.setdefault((run.text, str(found(run.config, "data.input_txt"))), []).append(run)
        return [Leaderboard(self.folder, runs, differing(runs)) for runs in texts.values()]

    def table(self, width: int | None = None, most: int | None = None) -> str:
        """For a person: a table for each text, since losses on two texts are no rank.

        Args:
            width: of the terminal; what is least needed is left out until a table fits.
            most: runs of each text; the newest is always among them.
        """
        groups = self._texts()
        tables = [group._of_one_text(width, most) for group in groups]
        if len(groups) == 1:
            return tables[0]
        names = [f"{group.runs[0].text}, {_count(len(group.runs), 'run')}" for group in groups]
        return "\n\n".join(f"{name}\n{table}" for name, table in zip(names, tables, strict=True))

    def _of_one_text(self, width: int | None, most: int | None) -> str:
        shown, notes = list(self.runs), []
        if most is not None and len(shown) > most:
            newest = max(shown, key=lambda run: run.begun)
            shown = [run for place, run in enumerate(shown) if place < most or run is newest]
            notes.append(f"{len(self.runs) - len(shown)} more are folded: all=true shows them")
        rows = Leaderboard(self.folder, shown, self.options).rows()
        for row in rows:
            # that of a sweep is told by its number, since its options follow
            number, _, rest = row["run"].partition("_")
            row["run"] = number if number.isdecimal() and rest else row["run"]
            del row["text"]
        columns, widths = _columns(rows)
        if width is not None and _breadth(widths) > width:
            for row in rows:  # so are those of several sweeps where there is little room
                row["run"] = re.sub(r"(/[0-9]+_).+", r"\1…", row["run"])
            columns, widths = _columns(rows)
        left_out = []
        for name in [*_LEAST_NEEDED, *reversed(self.options)]:
            if width is None or _breadth(widths) <= width:
                break
            del widths[name]
            left_out.append(_HEADINGS.get(name, name))
        lines = [
            "  ".join(columns[name][line].rjust(room) for name, room in widths.items())
            for line in range(len(rows) + 1)
        ]
        if left_out:
            notes.append(f"left out for want of room: {', '.join(left_out)}; json=true has them")
        told = [*_over_seeds(self.runs), *notes]
        return "\n".join([*lines, *(part for line in told for part in fitted(line, width))])

    def csv(self) -> str:
        content = io.StringIO()
        names = ["run", *Summary.COLUMNS, "text", *self.options]
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
        return [
            _HEADINGS.get(name, name) for name in ("run", *Summary.COLUMNS, "text", *self.options)
        ]


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
    for name in (*_OF_THE_TEXT, "resume"):  # the last says how often a run was interrupted
        names.pop(name, None)
    return [name for name in names if len({str(_plain(run.value(name))) for run in runs}) > 1]


def _over_seeds(runs: Sequence[Summary]) -> list[str]:
    """Mean and deviation of the loss of runs that differ in their seed alone."""
    alike: dict[str, list[Summary]] = {}
    for run in runs:
        if run.loss is not None:
            rest = {name: value for name, value in run.config.items() if name != "seed"}
            alike.setdefault(json.dumps(rest, sort_keys=True, default=str), []).append(run)
    lines = []
    for group in alike.values():
        seeds = sorted({str(_plain(run.value("seed"))) for run in group})
        if len(seeds) > 1:
            losses = [run.loss for run in group if run.loss is not None]
            options = [f"{n}={_plain(group[0].value(n))}" for n in differing(runs) if n != "seed"]
            lines.append(
                f"{_count(len(seeds), 'seed')} ({', '.join(seeds)}): mean "
                f"{statistics.mean(losses):.4f}, deviation {statistics.stdev(losses):.4f}"
                + "".join(f", {short_numbers(option)}" for option in options)
            )
    return lines


def _columns(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    """What stands in each column, its heading first, and how wide that is."""
    cells = [[_HEADINGS.get(name, name) for name in rows[0]], *map(_cells, rows)]
    columns = dict(zip(rows[0], zip(*cells, strict=True), strict=True))
    return columns, {name: max(map(len, column)) for name, column in columns.items()}


def _breadth(widths: dict[str, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before texts by their letters."""
    as_number = metrics_csv.number(value)
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


def tell_end(folder: Path, whole: bool, again: str = "") -> None:
    """The leaderboard of a sweep's folder: on standard error, as leaderboard.csv and .md.

    Args:
        whole: whether every job came to its end.
        again: the words that going on with it needs, quoted for a shell.
    """
    runs = summaries(folder)
    if not runs:
        return
    board = leaderboard(folder, runs)
    say(board.table(width_of(sys.stderr)))
    try:
        board.write()
    except RunError as error:  # what ended the sweep is to be told, not that this fails as well
        say(str(error))
    say(f"sweep folder: {short_path(folder)}")
    if not whole:
        say(
            f"what is missing or unfinished: charrnn train resume={shlex.quote(short_path(folder))}"
            f"{again} goes on with it"
        )
    if command := board.sampling():
        say(f"sample from the best: {command}")


class Place(NamedTuple):
    """A job's place in its sweep.

    Attributes:
        number: from 0.
        jobs: how many there are; None where only the sweeper knows.
        options: those that differ between the jobs.
    """

    number: int
    jobs: int | None
    options: str


def progress(sweep: Path, place: Place, seconds: float | None) -> str:
    """Which job begins, the best loss of those before it, and how long the sweep may take.

    Args:
        sweep: the folder of the sweep.
        seconds: that a job took so far, on average; None for the first.
    """
    number, jobs, options = place
    parts = [f"sweep: job {number}" + (f", {number + 1} of {jobs}" if jobs else "")]
    parts[0] += f" ({short_numbers(options.replace(',', ' '))})" if options else ""
    if found := _best(sweep):
        parts.append(f"best so far {found[0]:.4f} ({found[1]})")
    if jobs and seconds is not None:
        parts.append(f"about {duration(seconds * (jobs - number))} left")
    return "; ".join(parts)


def _best(sweep: Path) -> tuple[float, str] | None:
    """The lowest validation loss of the runs so far, and the job that has it."""
    found = []
    for path in sweep.glob(f"*/{metrics_csv.NAME}"):
        if (row := metrics_csv.best(metrics_csv.read(path.parent))) is not None:
            found.append((row["val/loss"], f"job {path.parent.name.partition('_')[0]}"))
    return min(found, default=None)
