"""What a section hands over: rows of the table, and curves. Plain values that JSON can hold."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.measuring import Measured


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure of the table.

    Attributes:
        what: what was measured, and compared with what.
        value: in `unit`; the median of calm rounds, or a ratio of two.
        bar: what must hold, such as "<= 1.10"; empty where nothing must.
        limit: the value that the machine would allow, from the operations or bytes that
            `counted` names and the ceilings measured in the same run.
        share: of the limit that is reached.
        rounds: how many were calm, of how many.
        values: what the rounds gave, by part.
    """

    what: str
    value: float
    unit: str
    bar: str = ""
    limit: float | None = None
    counted: str = ""
    share: float | None = None
    rounds: str = ""
    values: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        if not self.bar:
            return None
        sense, bound = self.bar.split()
        return self.value <= float(bound) if sense == "<=" else self.value >= float(bound)


def row(
    what: str,
    unit: str,
    measured: Measured,
    *,
    value: float | None = None,
    bar: str = "",
    limit: float | None = None,
    counted: str = "",
) -> Row:
    """A row of one part; its share of the limit counts seconds down and speeds up."""
    value = measured.median if value is None else value
    share = None
    if limit:
        share = value / limit if unit.endswith("/s") else limit / value
    return Row(
        what, value, unit, bar, limit, counted, share, rounds_of(measured), {"": measured.values}
    )


def ratio(what: str, parts: dict[str, Measured], over: str, under: str, bar: str = "") -> Row:
    """A row that compares two parts measured in turns: the ratio of their medians."""
    value = parts[over].median / parts[under].median
    values = {name: parts[name].values for name in (over, under)}
    return Row(what, value, "x", bar, rounds=rounds_of(parts[over]), values=values)


def rounds_of(measured: Measured) -> str:
    return f"{measured.calm.count(True)} of {len(measured.calm)}"


Points = list[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Curve:
    """How cost grows with one size, the others at the default recipe's.

    Attributes:
        name: of the picture's file.
        across, up: what the axes show, with the unit.
        lines: measured.
        limits: what the machine would allow.
        linear: axes that are not logarithmic, such as "xy".
    """

    name: str
    title: str
    across: str
    up: str
    lines: dict[str, Points]
    limits: dict[str, Points] = dataclasses.field(default_factory=dict)
    linear: str = ""


@dataclasses.dataclass(frozen=True)
class Part:
    """All that a section found."""

    rows: list[Row] = dataclasses.field(default_factory=list)
    curves: list[Curve] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def part_of(plain: dict[str, Any]) -> Part:
    """The inverse of `Part.plain`."""
    return Part(
        [Row(**row) for row in plain["rows"]],
        [Curve(**curve) for curve in plain["curves"]],
        plain["notes"],
    )
