"""The ranges and traits of options, and the error for a value that is out of range.

An option is declared as ``name: Annotated[type, range, traits]``. It may be None if its type
contains ``| None``.
"""

from __future__ import annotations

import codecs
import functools
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, NamedTuple

from charrnn.errors import InputError, shorten


def require(condition: bool, option: str, value: object, requirement: str) -> None:
    """Raise InputError for the value of an option unless `condition` is true."""
    if not condition:
        raise make_option_error(option, value, requirement)


def make_option_error(option: str, value: object, requirement: str) -> InputError:
    """Return the error for an invalid value of an option."""
    return InputError(f"{format_option(option, value)}: {requirement}")


def format_option(option: str, value: object) -> str:
    """Return an option and its value as Hydra writes them: tf32=null."""
    is_word = value is None or isinstance(value, bool)
    return f"{option}={json.dumps(value) if is_word else shorten(value)}"


class Range(NamedTuple):
    """A set of valid values, and the words in which an error message describes it."""

    accepts: Callable[[Any], bool]
    requirement: str


class Trait(NamedTuple):
    """A property of an option besides its type and its range."""

    name: str


class Node(NamedTuple):
    """The trait of a config node with a _target_, and a dataclass that declares its options."""

    schema: type | None = None


def _are_paths(value: Any) -> bool:
    """Return whether `value` is a path, or a list of one or more paths."""
    paths = [value] if isinstance(value, str) else value
    return len(paths) > 0 and all(isinstance(path, str) and path != "" for path in paths)


TEXT = Trait("a text, used literally")
PATH = Range(_are_paths, "takes a path")  # used literally
FIXED = Trait("an option that a resume cannot change")
NODE = Node()
NODES = Trait("named config nodes, each with a _target_")

Paths = Annotated[str | list[str] | None, PATH]


def get_traits(annotation: Any) -> tuple[Any, ...]:
    """Return the ranges and traits of an annotation."""
    return getattr(annotation, "__metadata__", ())


def get_schema(annotation: Any) -> Any:
    """Return the schema of a node, object for a node without one, or None for other options."""
    nodes = (trait for trait in get_traits(annotation) if isinstance(trait, Node))
    return next((node.schema or object for node in nodes), None)


def list_options(schema: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the annotation of each option of a schema."""
    for name, annotation in get_annotations(schema).items():
        nested = get_schema(annotation) or get_type(annotation)
        if is_dataclass(nested):
            yield from list_options(nested, f"{prefix}{name}.")
        else:
            yield prefix + name, annotation


def get_annotations(schema: Any) -> dict[str, Any]:
    """Return the annotation of each option of a dataclass, without those of nested options."""
    annotations = typing.get_type_hints(schema, include_extras=True)
    return {option.name: annotations[option.name] for option in fields(schema)}


def get_type(annotation: Any) -> Any:
    """Return the type of an annotation without its ranges and traits."""
    return annotation.__origin__ if get_traits(annotation) else annotation


def get_types(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the only type of an annotation."""
    kind = get_type(annotation)
    is_union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    return typing.get_args(kind) if is_union else (kind,)


def check_ranges(options: object, prefix: str = "") -> None:
    """Raise InputError for the first field of a dataclass that is out of its annotated range."""
    check_arguments(type(options), prefix, **vars(options))


def check_arguments(declaration: Callable[..., Any], prefix: str, **values: Any) -> None:
    """Raise InputError for the first argument that is out of its annotated range."""
    for name, annotation in _get_annotations(declaration).items():
        value = values.get(name)
        if name in values and (value is not None or type(None) not in get_types(annotation)):
            check_value(annotation, prefix + name, value)


# cached, because Python evaluates the annotations at each call
_get_annotations = functools.cache(functools.partial(typing.get_type_hints, include_extras=True))


def check_value(annotation: Any, option: str, value: Any) -> None:
    """Raise InputError for a value that is out of its annotated range, or a number too large.

    Users of Python can give any type, so a text and a whole number are checked to be one.
    """
    for extra in get_traits(annotation):
        if isinstance(extra, Range):
            try:
                is_valid = extra.accepts(value)
            except (TypeError, AttributeError):  # of another type
                is_valid = False
            require(is_valid, option, value, extra.requirement)
    kinds, texts = {*get_types(annotation)}, value if isinstance(value, list) else [value]
    if TEXT in get_traits(annotation):
        require(all(isinstance(text, str) for text in texts), option, value, "takes a text")
    if int in kinds and kinds <= {int, type(None)}:
        require(hasattr(value, "__index__"), option, value, "takes a whole number")
    if isinstance(value, int | float):
        largest = 2**63 - 1 if isinstance(value, int) else sys.float_info.max  # of NumPy and torch
        require(abs(value) <= largest, option, value, "is too large a number")


def one_of(*names: str | int) -> Range:
    return Range(lambda value: value in names, f"must be one of {', '.join(map(str, names))}")


def between(least: int, most: int) -> Range:
    return Range(lambda value: least <= value <= most, f"must be between {least} and {most}")


HTML_OR_JS = Range(
    lambda value: value.endswith((".html", ".js")),
    "must end in .html (a page) or .js (a module)",
)
POSITIVE = Range(lambda value: value > 0, "must be above 0")
NOT_NEGATIVE = Range(lambda value: value >= 0, "must be 0 or more")
AT_LEAST_1 = Range(lambda value: value >= 1, "must be 1 or more")
BELOW_1 = Range(lambda value: 0 <= value < 1, "must be at least 0 and below 1")
POSITIVE_FRACTION = Range(lambda value: 0 < value <= 1, "must be above 0 and at most 1")
UNIT_INTERVAL = between(0, 1)
SEED = Range(
    lambda value: hasattr(value, "__index__") and 0 <= value < 2**63,
    "must be between 0 and 2**63 - 1",
)
TEMPERATURE = Range(
    NOT_NEGATIVE.accepts, "must be 0 or more: 0.2 is cautious, 1 changes nothing, above 1 is wild"
)
# auto mixes a model's counts with its network, none ignores them, only ignores the network
COUNTS = one_of("auto", "none", "only")
UNKNOWN = one_of("error", "skip", "replace")
DEVICE = one_of("auto", "cpu", "cuda", "mps")

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(duration: str) -> float:
    """Return the seconds of a duration such as 90s, 10m or 2h; 0 if it is not a duration."""
    match = _DURATION.fullmatch(duration)
    return float(match[1]) * _SECONDS[match[2]] if match else 0.0


DURATION = Range(
    lambda value: parse_duration(value) > 0, "must be a time with its unit: 90s, 10m or 2h"
)


def _is_encoding(name: Any) -> bool:
    """Return whether `name` is ``bytes`` or an encoding with which Python can read and write."""
    if name == "bytes":
        return True
    try:
        "".encode(name)  # refuses codecs that are no text encoding, such as hex
        codecs.getincrementaldecoder(name)
    except (LookupError, ValueError, TypeError):
        return False
    return True


LONGEST_CONTEXT = 64  # characters that the table of counts in a model file may look back
CONTEXT = between(1, LONGEST_CONTEXT)
WORD_LETTERS = between(0, 64)
PORT = between(0, 65535)
ORIGINS = Range(
    lambda values: all(re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+", value) for value in values),
    "takes origins with their scheme, such as [https://example.org], or ['*'] for all",
)
NOT_EMPTY = Range(lambda value: value != "", "must not be empty")
ENCODING = Range(_is_encoding, "is not a text encoding; try utf-8, latin-1 or bytes")
BETAS = Range(
    lambda value: len(value) == 2 and all(map(BELOW_1.accepts, value)),
    "must be two numbers, each at least 0 and below 1: [0.9,0.999]",
)
