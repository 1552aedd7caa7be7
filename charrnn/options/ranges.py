"""Which values an option may have, its traits, and the line that refuses a value.

A field is ``name: Annotated[type, range, traits]``, and may be None where its type says
``| None``.
"""

from __future__ import annotations

import codecs
import functools
import math
import re
import typing
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from charrnn.errors import InputError, shorten


def require(holds: bool, option: str, value: object, demand: str) -> None:
    """Raise InputError for `option` unless `holds`; `demand` says what it must be."""
    if not holds:
        raise make_option_error(option, value, demand)


def make_option_error(option: str, value: object, demand: str) -> InputError:
    """The line for a value that an option cannot have."""
    return InputError(f"{option}={format_override_value(value)}: {demand}")


def format_override_value(value: object) -> str:
    """A value as it stands in an override; a very long one is cut."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else shorten(value)


def require_paths(option: str, value: Any) -> None:
    """Raise InputError unless a value is a path, or a list of some."""
    for path in value if isinstance(value, list | tuple) and value else [value]:
        require(isinstance(path, str) and path != "", option, value, "takes a path")


class Range(NamedTuple):
    """Which values an option may have, and how to say so."""

    accepts: Callable[[Any], bool]
    requirement: str


class Trait(NamedTuple):
    """Something that holds of an option besides its type and its range."""

    name: str


TEXT = Trait("a text, taken character for character")
PATH = Trait("a path, taken character for character")
FIXED = Trait("what a resume may not change")
NODE = Trait("what is built: a node with a _target_")
NODES = Trait("any number of such nodes, each under a name")

Paths = Annotated[str | list[str] | None, PATH]


def check_ranges(options: object, prefix: str = "") -> None:
    """Raise InputError for the first field of a dataclass that is out of its annotated range.

    None is within any where the type has it.
    """
    schema: Any = type(options)
    for name, hint in _hints(schema).items():
        value = getattr(options, name, None)
        if value is not None or type(None) not in typing.get_args(typing.get_args(hint)[0]):
            check_value(hint, prefix + name, value)


def check_arguments(function: Callable[..., Any], prefix: str, **values: Any) -> None:
    """Raise InputError for the first argument that is out of the range in its annotation."""
    for name, hint in _hints(function).items():
        if values.get(name) is not None:
            check_value(hint, prefix + name, values[name])


@functools.cache
def _hints(declaration: Any) -> dict[str, Any]:
    """The annotated types of a dataclass or a function."""
    hints = typing.get_type_hints(declaration, include_extras=True)
    return {name: hint for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def check_value(hint: Any, option: str, value: Any) -> None:
    """Raise InputError for a value that is out of the range in its annotation."""
    for extra in getattr(hint, "__metadata__", ()):
        if extra == PATH:
            require_paths(option, value)
        elif isinstance(extra, Range):
            try:
                is_admitted = extra.accepts(value)
            except TypeError:
                is_admitted = False
            require(is_admitted, option, value, extra.requirement)


def one_of(*names: str | int) -> Range:
    return Range(lambda value: value in names, f"must be one of {', '.join(map(str, names))}")


HTML = Range(lambda value: value.endswith(".html"), "must end in .html (a page)")
POSITIVE = Range(lambda value: 0 < value < math.inf, "must be above 0")
NOT_NEGATIVE = Range(lambda value: 0 <= value < math.inf, "must be 0 or more")
AT_LEAST_1 = Range(lambda value: 1 <= value < 2**63, "must be 1 or more")
BELOW_1 = Range(lambda value: 0 <= value < 1, "must be at least 0 and below 1")
POSITIVE_FRACTION = Range(lambda value: 0 < value <= 1, "must be above 0 and at most 1")
WEIGHTS = Range(
    lambda values: all(map(POSITIVE.accepts, values)), "must be numbers above 0: [0.7,0.3]"
)
UNIT_INTERVAL = Range(lambda value: 0 <= value <= 1, "must be between 0 and 1")
SEED = Range(
    lambda value: hasattr(value, "__index__") and 0 <= value < 2**63,
    "must be between 0 and 2**63 - 1",
)
TEMPERATURE = Range(
    NOT_NEGATIVE.accepts, "must be 0 or more: 0.2 is careful, 1 is the model's own, above is wild"
)
PRIMES = one_of("text", "none")
# how the counts that a model has are used: with its network, not at all, or alone
COUNTS = one_of("auto", "none", "only")
UNKNOWN = one_of("error", "skip", "replace")

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(duration: str) -> float:
    """How long 90s, 10m or 2h are; 0 for what is no such time."""
    match = _DURATION.fullmatch(duration)
    return float(match[1]) * _SECONDS[match[2]] if match else 0.0


DURATION = Range(
    lambda value: parse_duration(value) > 0, "must be a time with its unit: 90s, 10m or 2h"
)


def _is_encoding(name: Any) -> bool:
    """Whether Python knows a text encoding both ways, or it is ``bytes``."""
    if name == "bytes":
        return True
    try:
        b"".decode(name)
        "".encode(name)
        codecs.getincrementaldecoder(name)
    except (LookupError, ValueError, TypeError):
        return False
    return True


def _are_devices(devices: Any) -> bool:
    """Whether these are devices: auto, a number, or indices, each named once."""
    if isinstance(devices, list):
        return all(d >= 0 for d in devices) and 0 < len(devices) == len(set(devices))
    return devices == "auto" or (isinstance(devices, int) and devices >= 1)


_MAX_THREADS = 512  # far beyond, torch crashes
THREADS = Range(lambda value: 1 <= value <= _MAX_THREADS, f"must be between 1 and {_MAX_THREADS}")
LONGEST_CONTEXT = 64  # characters; a file's table of counts looks back no further
CONTEXT = Range(
    lambda value: 1 <= value <= LONGEST_CONTEXT, f"must be between 1 and {LONGEST_CONTEXT}"
)
PORT = Range(lambda value: 0 <= value <= 65535, "must be between 0 and 65535")
ORIGINS = Range(
    lambda values: all(re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+", value) for value in values),
    "takes origins as a browser names them, [https://example.org] say, or ['*'] for all",
)
NOT_EMPTY = Range(lambda value: value != "", "must be a text of one character or more")
ENCODING = Range(_is_encoding, "is no text encoding; try utf-8, latin-1 or bytes")
DEVICES = Range(_are_devices, "must be auto, a number of devices or a list of their indices")
BETAS = Range(
    lambda value: len(value) == 2 and all(map(BELOW_1.accepts, value)),
    "must be two numbers, each at least 0 and below 1: [0.9,0.999]",
)
