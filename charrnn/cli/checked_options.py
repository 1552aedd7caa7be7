"""Check a composed config against a dataclass, and build the options of a command from it.

A value is of the declared type as YAML writes it; its range is checked by the dataclass itself. A
node with a ``_target_`` is checked by the signature of its class, and by its schema if it has one.
"""

from __future__ import annotations

import inspect
import pkgutil
import typing
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from charrnn.errors import InputError, to_one_line
from charrnn.options.ranges import (
    NODES,
    Range,
    check_value,
    format_option,
    get_annotations,
    get_schema,
    get_traits,
    get_type,
    get_types,
    make_option_error,
    require,
)

_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list[str]: "a list of texts: [one,two]",
    list[float]: "a list of numbers: [0.2,0.5]",
}
# the classes of conf/ that a schema describes completely; to import them takes seconds
_KNOWN = ("charrnn.TextDataModule", "charrnn.LanguageModel", "lightning.Trainer")


class UnknownOption(InputError):
    """The error for an option that does not exist; `names` are those beside it."""

    def __init__(self, shown: str, name: str = "", names: Sequence[str] = ()) -> None:
        super().__init__(f"{shown}: no such option")
        self.shown, self.name, self.names = shown, name or shown, names


def build(schema: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    """Check the values of a node, and return an instance of the dataclass `schema`."""
    hints = get_annotations(schema)
    for name, value in values.items():
        if name not in hints:
            shown = format_option(prefix + name, value)
            raise UnknownOption(shown, prefix + name, [prefix + n for n in hints])
    # Hydra composes no node of a group without a choice: ~logger or logger=[]
    values = {**{n: {} for n, hint in hints.items() if NODES in get_traits(hint)}, **values}
    if missing := [name for name in hints if name not in values]:
        raise InputError(f"{prefix}{missing[0]}: cannot be left out")
    if hasattr(schema, "check_first"):  # before classes are imported
        schema.check_first(values)
    # Nodes are last: they refer to other options, and to import their classes takes seconds.
    order = sorted(
        hints, key=lambda n: (NODES in get_traits(hints[n]), get_schema(hints[n]) is object)
    )
    options = schema(**{n: _check(prefix + n, hints[n], values[n]) for n in order})
    if hasattr(options, "check"):
        options.check()
    return options


def _check(name: str, hint: Any, value: Any) -> Any:
    """Return the value of an option. Raise InputError if it has another type or range."""
    kinds, schema = get_types(hint), get_schema(hint)
    if schema is not None:
        return _check_node(name, value, schema if is_dataclass(schema) else None)
    if NODES in get_traits(hint):
        nodes = {key: node for key, node in _as_dict(name, value or {}).items() if node is not None}
        return {key: _check_node(f"{name}.{key}", node) for key, node in nodes.items()}
    if is_dataclass(get_type(hint)):
        return build(get_type(hint), _as_dict(name, value), f"{name}.")
    if list[str] in kinds and isinstance(value, list):
        value = [*map(str, value)]
    elif str in kinds and int not in kinds and type(value) in (int, float):
        value = str(value)  # logger.tensorboard.name=2024
    if not any(_is(kind, value) for kind in kinds):
        words = [word for kind, word in _KINDS.items() if kind in kinds]
        ranges = [trait for trait in get_traits(hint) if isinstance(trait, Range)]
        says = f"takes {' or '.join([*words, *['null'] * (type(None) in kinds)])}"
        if {str, list[str]} <= {*kinds}:
            says = "takes a path or a list of paths: [a.txt,b.txt]"
        raise make_option_error(name, value, says if words or not ranges else ranges[0].requirement)
    if value is not None:
        check_value(hint, name, value)
    return value


def _is(kind: Any, value: Any) -> bool:
    if typing.get_origin(kind) is list:
        item = typing.get_args(kind)[0]
        return isinstance(value, list) and all(_is(item, v) for v in value)
    number = kind is float and type(value) is int
    return kind is Any or number or type(value) is (typing.get_origin(kind) or kind)


def _as_dict(name: str, value: Any) -> dict[str, Any]:
    require(isinstance(value, dict), name, value, f"takes options below it: {name}.NAME=VALUE")
    return value


def _check_node(path: str, value: Any, schema: Any = None) -> dict[str, Any]:
    """Check a node: by its schema, which declares some options, and by its class."""
    node = _as_dict(path, value)
    target = node.get("_target_")
    if not isinstance(target, str) or not target:
        raise make_option_error(f"{path}._target_", target, "takes the dotted name of a class")
    options = {str(n): v for n, v in node.items() if not str(n).startswith("_")}
    if schema is not None:
        hints = get_annotations(schema)
        mine = options if target in _KNOWN and target.startswith("charrnn.") else hints
        declared = {n: options.pop(n) for n in [*options] if n in mine}
        node = {**node, **vars(build(schema, {**_get_defaults(schema), **declared}, f"{path}."))}
        node = {n: v for n, v in node.items() if n in value}
    if options or target not in _KNOWN:
        check_target(path, target, options)
    return node


def _get_defaults(schema: Any) -> dict[str, Any]:
    """Return the defaults of a schema, for a class that has not all of its options."""
    parameters = inspect.signature(schema).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def check_target(path: str, target: str, arguments: Mapping[str, Any]) -> None:
    """Raise InputError if a class cannot be imported, or does not take the names of arguments."""
    try:
        called = pkgutil.resolve_name(target)
        inspect.signature(called).bind_partial(**arguments)
    except ValueError:
        return  # Some functions that are written in C have no signature.
    except TypeError as error:
        raise InputError(f"{path}: {target}: {to_one_line(error)}") from None
    except Exception as error:  # The module may raise anything.
        why = to_one_line(error, 500, with_type=True)
        raise InputError(f"{path}._target_={target}: cannot be imported ({why})") from error
