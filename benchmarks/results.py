"""What a section hands over: rows of the table. Plain values that JSON can hold."""

from __future__ import annotations

import dataclasses

from benchmarks.measuring import Measured


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure of the table.

    Attributes:
        what: what was measured, and compared with what.
        value: in `unit`; the median of calm rounds, or a ratio of two.
        bar: what must hold, such as "<= 1.10"; empty where nothing must.
        rounds: how many were calm, of how many.
        values: what the rounds gave, by part.
    """

    what: str
    value: float
    unit: str
    bar: str = ""
    rounds: str = ""
    values: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        if not self.bar:
            return None
        sense, bound = self.bar.split()
        return self.value <= float(bound) if sense == "<=" else self.value >= float(bound)


def row(what: str, unit: str, measured: Measured, *, scale: float = 1.0, bar: str = "") -> Row:
    """A row of one part, its median times `scale`."""
    values = [value * scale for value in measured.values]
    return Row(what, measured.median * scale, unit, bar, rounds_of(measured), {"": values})


def ratio(what: str, parts: dict[str, Measured], over: str, under: str, bar: str = "") -> Row:
    """A row that compares two parts measured in turns: the ratio of their medians."""
    value = parts[over].median / parts[under].median
    values = {name: parts[name].values for name in (over, under)}
    return Row(what, value, "x", bar, rounds_of(parts[over]), values)


def rounds_of(measured: Measured) -> str:
    return f"{measured.calm.count(True)} of {len(measured.calm)}"


@dataclasses.dataclass(frozen=True)
class Part:
    """All that a section found."""

    rows: list[Row] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
