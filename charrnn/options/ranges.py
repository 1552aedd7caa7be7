"""The declaration of options: a type, a range and traits for each field of a dataclass.

An option is declared as ``name: Annotated[type, range, traits]``. It may be None if its type
contains ``| None``. Constructors check the ranges of their arguments with the same declaration as
the command line: they make an instance of a subclass of `Options`, or call `check_ranges`.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

from charrnn.errors import InputError, shorten


class Range(NamedTuple):
    """A set of valid values, and the words in which an error message describes it."""

    accepts: Callable[[Any], bool]
    requirement: str


# traits, which an option has besides its type and its range
NODE = "a config node with a _target_; a dataclass beside this trait declares its options"
NODES = "named config nodes, each with a _target_"


@dataclass(frozen=True)
class Options:
    """Options whose ranges are checked when an instance is made."""

    PREFIX = ""  # the config node of the options, for messages

    def __post_init__(self) -> None:
        check_ranges(type(self), self.PREFIX, **vars(self))


@functools.cache  # because Python evaluates the annotations at each call
def get_annotations(schema: Any) -> dict[str, Any]:
    """Return the annotation of each field of a dataclass."""
    annotations = typing.get_type_hints(schema, include_extras=True)
    return {option.name: annotations[option.name] for option in fields(schema)}


def list_options(schema: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the annotation of each option of a dataclass and of its nodes."""
    for name, annotation in get_annotations(schema).items():
        if nested := get_schema(annotation):
            yield from list_options(nested, f"{prefix}{name}.")
        else:
            yield prefix + name, annotation


def get_traits(annotation: Any) -> tuple[Any, ...]:
    """Return the ranges and traits of an annotation."""
    return getattr(annotation, "__metadata__", ())


def get_schema(annotation: Any) -> Any:
    """Return the dataclass that declares the options of a node; None for other options."""
    return next(filter(is_dataclass, (*get_traits(annotation), annotation)), None)


def get_types(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the only type of an annotation."""
    kind = annotation.__origin__ if get_traits(annotation) else annotation
    is_union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    return typing.get_args(kind) if is_union else (kind,)


def check_ranges(schema: Any, prefix: str = "", /, **values: Any) -> None:
    """Raise InputError for the first value that is out of the range that a dataclass declares."""
    for name, annotation in get_annotations(schema).items():
        if name in values:
            check_range(annotation, prefix + name, values[name])


def check_range(annotation: Any, option: str, value: Any) -> None:
    """Raise InputError for a value that is out of its annotated range, or a number too large.

    Users of Python can give any type, so a whole number is checked to be one.
    """
    kinds = get_types(annotation)
    if value is None and type(None) in kinds:
        return
    for trait in get_traits(annotation):
        if isinstance(trait, Range):
            try:
                is_valid = trait.accepts(value)
            except (TypeError, AttributeError):  # of another type
                is_valid = False
            require(is_valid, option, value, trait.requirement)
    is_whole = not {*kinds} <= {int, type(None)} or hasattr(value, "__index__")
    require(is_whole, option, value, "takes a whole number")
    if isinstance(value, int | float):
        largest = 2**63 - 1 if isinstance(value, int) else sys.float_info.max  # of NumPy and torch
        require(abs(value) <= largest, option, value, "is too large a number")


def require(condition: bool, option: str, value: object, requirement: str) -> None:
    """Raise InputError for the value of an option unless `condition` is true."""
    if not condition:
        raise InputError(f"{format_option(option, value)}: {requirement}")


def format_option(option: str, value: object) -> str:
    """Return an option and its value as Hydra writes them: tf32=null."""
    is_word = value is None or isinstance(value, bool)
    return f"{option}={json.dumps(value) if is_word else shorten(value)}"


def one_of(*names: str | int) -> Range:
    return Range(lambda value: value in names, f"must be one of {', '.join(map(str, names))}")


def between(least: int, most: int) -> Range:
    return Range(lambda value: least <= value <= most, f"must be between {least} and {most}")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# A text or path, or a list of them, is used literally.
TEXT = Range(lambda value: all(isinstance(t, str) for t in _as_list(value)), "takes a text")
PATH = Range(
    lambda value: (
        TEXT.accepts(value) and value != [] and all(p and "\0" not in p for p in _as_list(value))
    ),
    "takes a path",
)
POSITIVE = Range(lambda value: value > 0, "must be above 0")
NOT_NEGATIVE = Range(lambda value: value >= 0, "must be 0 or more")
AT_LEAST_1 = Range(lambda value: value >= 1, "must be 1 or more")
BELOW_1 = Range(lambda value: 0 <= value < 1, "must be at least 0 and below 1")
POSITIVE_FRACTION = Range(lambda value: 0 < value <= 1, "must be above 0 and at most 1")
UNIT_INTERVAL = between(0, 1)
SEED = Range(lambda value: 0 <= value < 2**63, "must be between 0 and 2**63 - 1")
# auto mixes a model's counts with its network, none ignores them, only ignores the network
COUNTS = one_of("auto", "none", "only")
UNKNOWN = one_of("error", "skip", "replace")
DEVICE = one_of("auto", "cpu", "cuda", "mps")
LONGEST_CONTEXT = 64  # characters that the table of counts in a model file may look back
PORT = between(0, 65535)
ORIGINS = Range(
    lambda values: all(re.fullmatch(r"file|[a-z][a-z0-9+.-]*://[^/\s]+", v) for v in values),
    "takes origins with their scheme, such as [https://example.org], or file for pages in files",
)
NOT_EMPTY = Range(lambda value: value != "", "must not be empty")
