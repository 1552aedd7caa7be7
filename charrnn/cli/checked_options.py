"""Check a composed config, and build the options of a command from it.

A dataclass declares the type and the range of each option, without importing torch. The signature
of another class, which may import torch, names its options.
"""

from __future__ import annotations

import contextlib
import inspect
import pkgutil
import typing
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from omegaconf import ListConfig
from omegaconf.errors import OmegaConfBaseException

from charrnn.errors import InputError, suggest_name, to_one_line
from charrnn.options import ranges
from charrnn.options.datasets import DataOptions
from charrnn.options.ranges import NODE, NODES, format_option, require
from charrnn.options.training import PartOptions


def build(schema: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    """Check the values of a config, and return an instance of the dataclass `schema`."""
    checked = _check_values(schema, values, prefix)
    require_all(schema, values, prefix)
    options = schema(**checked)
    if hasattr(options, "check"):  # the rules between options
        options.check()
    return options


def require_all(schema: Any, names: Collection[Any], prefix: str = "") -> None:
    """Raise InputError if a required option is not among the names of the given ones."""
    for name in (f.name for f in fields(schema) if f.default is f.default_factory):  # both missing
        if name not in names:
            raise InputError(f"{prefix}{name}: cannot be left out; choose another value instead")


def _check_values(schema: Any, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the values of the options that a dataclass declares, in their declared types.

    They are checked in the order of its fields.
    """
    hints = ranges.get_annotations(schema)
    for name, value in values.items():
        nearest = suggest_name(prefix + name, [prefix + known for known in hints])
        require(name in hints, prefix + name, value, f"no such option{nearest}")
    given = {name: hint for name, hint in hints.items() if name in values}
    return {name: _check_value(prefix + name, hint, values[name]) for name, hint in given.items()}


def _check_value(option: str, hint: Any, value: Any) -> Any:
    """Return the value of an option in its declared type. Raise InputError if it is invalid."""
    traits, schema, kinds = ranges.get_traits(hint), ranges.get_schema(hint), ranges.get_types(hint)
    if NODES in traits:
        nodes = _require_dict(option, {} if value is None else value)
        return {
            name: _check_node(f"{option}.{name}", node, schema)
            for name, node in nodes.items()
            if node is not None
        }
    if NODE in traits:
        return _check_node(option, value, schema)
    if schema is not None:
        return build(schema, _require_dict(option, value), f"{option}.")
    try:
        typed = _convert(kinds, value)
    except OmegaConfBaseException as error:
        raise InputError(f"{format_option(option, value)}: {to_one_line(error)}") from None
    ranges.check_range(hint, option, typed)
    return typed


def _require_dict(name: str, value: Any) -> dict[str, Any]:
    require(isinstance(value, dict), name, value, f"takes options below it: {name}.NAME=VALUE")
    return value


def _convert(kinds: tuple[Any, ...], value: Any) -> Any:
    """Return a value of one of these types as it is, else in the first type that takes it.

    OmegaConf converts it: a number from an environment variable is a text. A union names numbers
    before texts. If no type takes the value, raise the error of the first.
    """
    if any(kind is Any or type(value) is kind for kind in kinds):
        return value
    for kind in kinds:
        if typing.get_origin(kind) is list and isinstance(value, list):
            return [_convert(typing.get_args(kind), item) for item in value]
        with contextlib.suppress(OmegaConfBaseException):
            return ListConfig([value], element_type=kind)[0]
    return ListConfig([value], element_type=kinds[0])[0]


def _check_node(path: str, node: Any, schema: Any) -> dict[str, Any]:
    """Return a node with checked values of the options that a dataclass declares.

    Args:
        schema: the dataclass; None: `PartOptions`, if the class is charrnn's or an optimizer.
    """
    target: Any = _require_dict(path, node).get("_target_")
    is_name = isinstance(target, str) and target != ""
    require(is_name, f"{path}._target_", target, "takes the dotted name of a class")
    given = {str(name): value for name, value in node.items() if not str(name).startswith("_")}
    is_complete = schema is not None and target.startswith("charrnn.")
    if schema is None and target.startswith(("charrnn.", "torch.optim.")):
        schema = PartOptions
    known = ranges.get_annotations(schema) if schema else {}
    declared = {name: value for name, value in given.items() if is_complete or name in known}
    checked = _check_values(schema, declared, f"{path}.") if schema else {}
    if schema is DataOptions:
        schema(**checked)  # checks the rules between them
    if len(declared) < len(given) or not target.startswith(("charrnn.", "lightning.Trainer")):
        check_class(path, target, given)
    return {**node, **checked}


def check_class(path: str, target: str, arguments: Mapping[str, Any]) -> None:
    """Raise InputError if a class cannot be imported, or does not take the names of arguments.

    Missing arguments are no error, because a run adds some when it builds the node.
    """
    try:
        called = pkgutil.resolve_name(target)
    except Exception as error:  # The module may raise anything.
        known = dir(error.obj) if isinstance(error, AttributeError) else []
        nearest = suggest_name(str(getattr(error, "name", "")), known)
        reason = f"cannot be imported ({to_one_line(error, 500, with_type=True)}{nearest})"
        raise InputError(f"{path}._target_={target}: {reason}") from error
    try:
        signature = inspect.signature(called)
    except ValueError:  # Some functions that are written in C have no signature.
        return
    for name, value in arguments.items():
        try:
            signature.bind_partial(**{name: value})
        except TypeError:
            nearest = suggest_name(name, signature.parameters)
            require(False, f"{path}.{name}", value, f"{target} takes no {name}{nearest}")
