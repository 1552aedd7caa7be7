"""What can be said of an option: which values it admits, and its traits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from charrnn.errors import InputError


class Trait(NamedTuple):
    """Something that holds of an option besides its type and its range."""

    name: str


TEXT = Trait("a text, taken character for character")
PATH = Trait("a path, taken character for character")
FIXED = Trait("what a resume may not change")
NODE = Trait("what is built: a node with a _target_")
NODES = Trait("any number of such nodes, each under a name")


class Range(NamedTuple):
    """Which values an option may have, and how to say so."""

    admits: Callable[[Any], bool]
    demand: str


class BadOption(InputError):
    """An option whose value cannot be used; who knows where it was written may say so."""

    def __init__(self, name: str, value: object, demand: str) -> None:
        super().__init__(f"{name}={shown(value)}: {demand}")
        self.name, self.value, self.demand = name, value, demand

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.value, self.demand)


def shown(value: object) -> str:
    """A value as a person writes it on the command line; a very long one is cut."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a number of about {int(value.bit_length() * math.log10(2)):,} digits"
    text = str(value)
    return text if len(text) <= 200 else f"{text[:80]}... ({len(text):,} characters)"


def require(holds: bool, option: str, value: object, demand: str) -> None:
    """Raise BadOption for `option` unless `holds`; `demand` says what it must be."""
    if not holds:
        raise BadOption(option, value, demand)


# Ranges


def one_of(*names: str) -> Range:
    return Range(lambda value: value in names, f"must be one of {', '.join(names)}")


def _is_encoding(name: str) -> bool:
    try:
        "".encode(name if name != "bytes" else "utf-8")
    except (LookupError, ValueError):
        return False
    return True


def _are_devices(devices: Any) -> bool:
    """Whether these are devices: auto, a number, or indices, each named once."""
    if isinstance(devices, list):
        return all(d >= 0 for d in devices) and 0 < len(devices) == len(set(devices))
    return devices == "auto" or (isinstance(devices, int) and devices >= 1)


_MAX_THREADS = 512  # far beyond, torch crashes
THREADS = Range(lambda value: 1 <= value <= _MAX_THREADS, f"must be between 1 and {_MAX_THREADS}")
POSITIVE = Range(lambda value: 0 < value < math.inf, "must be above 0")
NOT_NEGATIVE = Range(lambda value: 0 <= value < math.inf, "must be 0 or more")
AT_LEAST_1 = Range(lambda value: value >= 1, "must be 1 or more")
BELOW_1 = Range(lambda value: 0 <= value < 1, "must be at least 0 and below 1")
SHARE = Range(lambda value: 0 < value <= 1, "must be above 0 and at most 1")
FACTOR = Range(lambda value: 0 <= value <= 1, "must be between 0 and 1")
SEED = Range(lambda value: 0 <= value < 2**63, "must be between 0 and 2**63 - 1")
NOT_EMPTY = Range(lambda value: value != "", "must be a text of one character or more")
ENCODING = Range(_is_encoding, "is no text encoding; try utf-8, latin-1 or bytes")
DEVICES = Range(_are_devices, "must be auto, a number of devices or a list of their indices")
BETAS = Range(
    lambda value: len(value) == 2 and all(map(BELOW_1.admits, value)),
    "must be two numbers, each at least 0 and below 1: [0.9,0.999]",
)
SHA256 = Range(
    lambda value: len(value) == 64 and not value.lower().strip("0123456789abcdef"),
    "must be the 64 hexadecimal digits that `sha256sum FILE` prints",
)

Paths = Annotated[str | list[str] | None, PATH]


# How options hang together


def require_fractions(prefix: str, val_frac: float, test_frac: float) -> None:
    require(
        val_frac + test_frac < 1,
        f"{prefix}val_frac={val_frac} {prefix}test_frac",
        test_frac,
        "together they must be below 1, so that a part is left to train on",
    )


def require_h5_pair(prefix: str, h5: str | None, json: str | None, txt: Any) -> None:
    """An HDF5 file comes with its JSON, and not with a text."""
    require(
        (h5 is None) == (json is None),
        f"{prefix}input_h5" if json is None else f"{prefix}input_json",
        h5 if json is None else json,
        f"{prefix}input_h5 and {prefix}input_json belong together; give both",
    )
    require(
        h5 is None or txt is None,
        f"{prefix}input_h5",
        h5,
        f"give either this pair or {prefix}input_txt, not both",
    )
