"""Which runs are meant: ``where="model=gru val/loss<1.5"``, and names that no run has."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from charrnn.errors import InputError, shown
from charrnn.runs.record import MISSING
from charrnn.sweeps.leaderboard import number
from charrnn.sweeps.summary import Summary

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"([^=<>!]+)(!=|<=|>=|=|<|>)(.*)")


class Condition(NamedTuple):
    """What a run must fulfil: a column or an option, compared with a value."""

    name: str
    comparison: str
    value: str

    def holds(self, run: Summary) -> bool:
        """Numbers are compared as such; of a list, ``=`` asks for a member."""
        found = run.value(self.name)
        if isinstance(found, list):
            return (self.value in map(str, found)) == (self.comparison == "=")
        one, other = number(found), number(self.value)
        if one is not None and other is not None:
            return _COMPARISONS[self.comparison](one, other)
        if self.comparison in ("=", "!="):
            return (_text(found) == self.value) == (self.comparison == "=")
        return False


def conditions(where: str) -> list[Condition]:
    """Read conditions with spaces between them.

    Raises:
        InputError: one is none.
    """
    result = []
    for word in where.split():
        match = _CONDITION.fullmatch(word)
        if match is None:
            raise InputError(
                f"where={shown(where)}: {shown(word)} is no condition; write NAME=VALUE or "
                f"NAME<1.5, several with spaces between them"
            )
        result.append(Condition(*match.groups()))
    return result


def require_known(option: str, names: Sequence[str], runs: Sequence[Summary]) -> None:
    """Raise InputError for a name that no run has, with the nearest one that they have."""
    for name in names:
        if runs and all(run.value(name) is MISSING for run in runs):
            known = [*Summary.COLUMNS, *(key for run in runs for key in _names(run))]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(Summary.COLUMNS)}"
            raise InputError(f"{option}={shown(name)}: no run has it; {hint}")


def _names(run: Summary) -> list[str]:
    names = list(run.options)

    def collect(config: dict[str, Any], prefix: str) -> None:
        for name, value in config.items():
            names.append(f"{prefix}{name}")
            if isinstance(value, dict):
                collect(value, f"{prefix}{name}.")

    collect(run.config, "")
    return names


def _text(value: Any) -> str:
    if value is None or value is MISSING:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
