"""Which values an option may have, and the line that refuses another."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from charrnn.errors import InputError, shown


def require(holds: bool, option: str, value: object, demand: str) -> None:
    """Raise InputError for `option` unless `holds`; `demand` says what it must be."""
    if not holds:
        raise InputError(f"{option}={shown(value)}: {demand}")


class Range(NamedTuple):
    """Which values an option may have, and how to say so."""

    admits: Callable[[Any], bool]
    demand: str


def one_of(*names: str) -> Range:
    return Range(lambda value: value in names, f"must be one of {', '.join(names)}")


POSITIVE = Range(lambda value: 0 < value < math.inf, "must be above 0")
NOT_NEGATIVE = Range(lambda value: 0 <= value < math.inf, "must be 0 or more")
AT_LEAST_1 = Range(lambda value: value >= 1, "must be 1 or more")
BELOW_1 = Range(lambda value: 0 <= value < 1, "must be at least 0 and below 1")
SHARE = Range(lambda value: 0 < value <= 1, "must be above 0 and at most 1")
UNIT = Range(lambda value: 0 <= value <= 1, "must be between 0 and 1")
SEED = Range(lambda value: 0 <= value < 2**63, "must be between 0 and 2**63 - 1")


def require_ranges(prefix: str, options: object, **ranges: Range) -> None:
    """Raise InputError for the first of these options that is out of its range; None is in any."""
    for name, allowed in ranges.items():
        value = getattr(options, name)
        require(value is None or allowed.admits(value), prefix + name, value, allowed.demand)


_NUMBER = r"[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?"
_FROM_TO = re.compile(rf"({_NUMBER})\.\.({_NUMBER})", re.IGNORECASE)


def temperatures_of(value: float | str) -> tuple[float, float]:
    """The first and the last temperature of a text: of 0.2..1.2 these two, of 0.8 twice itself.

    Raises:
        ValueError: it is neither, or a number is below 0 or infinite.
    """
    match = _FROM_TO.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    first, last = (match[1], match[2]) if match else (value, value)
    if not all(map(NOT_NEGATIVE.admits, ends := (float(first), float(last)))):
        raise ValueError
    return ends


def _is_temperature(value: float | str) -> bool:
    try:
        return bool(temperatures_of(value))
    except ValueError:
        return False


TEMPERATURE = Range(
    _is_temperature,
    "must be 0 or more: 0.2 is careful, 1 is the model's own, above is wild; "
    "0.2..1.2 moves from one to the other",
)
PRIMES = ("text", "none")
UNKNOWN = ("error", "skip", "replace")

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(duration: str) -> float:
    """How long 90s, 10m or 2h are; 0 for what is no such time."""
    match = _DURATION.fullmatch(duration)
    return float(match[1]) * _SECONDS[match[2]] if match else 0.0


DURATION = Range(
    lambda value: seconds_of(value) > 0, "must be a time with its unit: 90s, 10m or 2h"
)
