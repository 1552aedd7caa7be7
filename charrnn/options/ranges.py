"""The declaration of options: a type, a range and traits for each field of a dataclass.

An option is declared as ``name: Annotated[type, range, traits]``. It may be None if its type
contains ``| None``. Constructors check the ranges of their arguments with the same declaration as
the command line: they make an instance of a subclass of `Options`, or call `check_ranges`.
"""

from __future__ import annotations

import functools
import json
import operator
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

    test: Callable[[Any], bool]
    requirement: str

    def accepts(self, value: Any) -> bool:
        """Return whether a value is valid. The test may fail for one of another type."""
        try:
            return self.test(value)
        except (TypeError, AttributeError, LookupError, ValueError):
            return False


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
            require(trait.accepts(value), option, value, trait.requirement)
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


def interval(**bounds: float) -> Range:
    """Return the range of the numbers within bounds (ge, gt, le, lt): ``interval(ge=0, lt=1)``."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return Range(
        lambda value: all(getattr(operator, name)(value, bounds[name]) for name in bounds),
        "must be " + " and ".join(f"{words[name]} {bound}" for name, bound in bounds.items()),
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# A text or path, or a list of them, is used literally.
TEXT = Range(lambda value: all(isinstance(t, str) for t in _as_list(value)), "takes a text")
PATH = Range(
    lambda value: value != [] and all(p and p.find("\0") < 0 for p in _as_list(value)),
    "takes a path",
)
SEED = interval(ge=0, lt=2**63)
# auto mixes a model's counts with its network, none ignores them, only ignores the network
COUNTS = one_of("auto", "none", "only")
DEVICE = one_of("auto", "cpu", "cuda", "mps")
LONGEST_CONTEXT = 64  # characters that the table of counts in a model file may look back
PORT = interval(ge=0, le=65535)
ORIGINS = Range(
    lambda values: all(re.fullmatch(r"file|[a-z][a-z0-9+.-]*://[^/\s]+", v) for v in values),
    "takes origins with their scheme, such as [https://example.org], or file for pages in files",
)
NOT_EMPTY = Range(lambda value: value != "", "must not be empty")
