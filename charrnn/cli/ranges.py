"""What can be said of an option of the command line: its traits, and ranges of its own."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from charrnn import errors
from charrnn.errors import InputError
from charrnn.ranges import BELOW_1, Range
from charrnn.text.checks import require_encoding


class Trait(NamedTuple):
    """Something that holds of an option besides its type and its range."""

    name: str


TEXT = Trait("a text, taken character for character")
PATH = Trait("a path, taken character for character")
FIXED = Trait("what a resume may not change")
NODE = Trait("what is built: a node with a _target_")
NODES = Trait("any number of such nodes, each under a name")

Paths = Annotated[str | list[str] | None, PATH]
Models = Annotated[str | list[str], PATH]


class BadOption(InputError):
    """An option whose value cannot be used; who knows where it was written may say so."""

    def __init__(self, name: str, value: object, demand: str) -> None:
        super().__init__(f"{name}={written(value)}: {demand}")
        self.name, self.value, self.demand = name, value, demand

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.value, self.demand)


def written(value: object) -> str:
    """A value as a person writes it on the command line; a very long one is cut."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else errors.shown(value)


def _is_encoding(name: str) -> bool:
    try:
        require_encoding("", name)
    except InputError:
        return False
    return True


def _are_devices(devices: Any) -> bool:
    """Whether these are devices: auto, a number, or indices, each named once."""
    if isinstance(devices, list):
        return all(d >= 0 for d in devices) and 0 < len(devices) == len(set(devices))
    return devices == "auto" or (isinstance(devices, int) and devices >= 1)


_MAX_THREADS = 512  # far beyond, torch crashes
THREADS = Range(lambda value: 1 <= value <= _MAX_THREADS, f"must be between 1 and {_MAX_THREADS}")
PORT = Range(lambda value: 0 <= value <= 65535, "must be between 0 and 65535")
ORIGINS = Range(
    lambda values: all(re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+", value) for value in values),
    "takes origins as a browser names them, [https://example.org] say, or ['*'] for all",
)
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
