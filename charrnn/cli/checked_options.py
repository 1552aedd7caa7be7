"""Check a composed config, and build the options of a command from it.

A schema, a dataclass, declares the options of the nodes data, model and trainer. The options of
every other node are the parameters of its target, which is imported last because imports are slow.
"""

from __future__ import annotations

import contextlib
import inspect
import pkgutil
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from omegaconf import ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from charrnn.errors import InputError, suggest_name, to_one_line
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
from charrnn.say import say

# keys of a node that are not arguments of its target
_HYDRA_KEYS = frozenset({"_target_", "_partial_", "_convert_", "_recursive_", "_args_"})
# the classes of the nodes data, model and trainer in conf/, which a schema describes
_KNOWN_TARGETS = ("charrnn.TextDataModule", "charrnn.LanguageModel", "lightning.Trainer")
_DESCRIPTIONS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list[str]: "a list of texts: [one,two]",
    list[float]: "a list of numbers: [0.2,0.5]",
}


class UnknownOption(InputError):
    """The error for an option that does not exist.

    Attributes:
        shown: the option, with its value if that is known.
        name: its dotted name.
        names: the options beside it, one of which may be meant.
    """

    def __init__(self, shown: str, name: str = "", names: Sequence[str] = ()) -> None:
        super().__init__(shown)
        self.shown, self.name, self.names = shown, name or shown, names

    def __str__(self) -> str:
        return f"{self.shown}: no such option"


def build(schema: Any, values: Mapping[str, Any]) -> Any:
    """Check the values of a config, and return an instance of the dataclass `schema`."""
    if hasattr(schema, "check_first"):  # before classes are imported
        schema.check_first(values)
    options = schema(**_check_values(schema, values))
    if hasattr(options, "check"):
        options.check()
    return options


def _check_values(schema: Any, values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of the node `prefix`, converted to the annotations of a schema."""
    annotations = get_annotations(schema)
    for name, value in values.items():
        if name not in annotations:
            shown = format_option(prefix + name, value)
            raise UnknownOption(shown, prefix + name, [prefix + n for n in annotations])
    # Hydra composes no node of a group without a choice: ~logger or logger=[]
    values = {n: {} for n, hint in annotations.items() if NODES in get_traits(hint)} | {**values}
    if missing := [name for name in annotations if name not in values]:
        raise InputError(f"{prefix}{missing[0]}: cannot be left out")
    order = sorted(annotations, key=lambda name: _rank(annotations[name]))
    return {n: _check_value(prefix + n, annotations[n], values[n]) for n in order}


def _rank(annotation: Any) -> int:
    """Return when to check an option: nodes refer to other options, and some import classes."""
    schema = get_schema(annotation)
    if NODES in get_traits(annotation) or (schema is not None and not is_dataclass(schema)):
        return 2
    return int(schema is not None)


def _check_value(name: str, annotation: Any, value: Any) -> Any:
    """Return the value of an option, converted to its annotation. Raise InputError if invalid."""
    kind = get_type(annotation)
    if schema := get_schema(annotation):
        return _check_node(name, value, schema if is_dataclass(schema) else None)
    if NODES in get_traits(annotation):
        value = {} if value is None else _require_dict(name, value)
        nodes = {key: node for key, node in value.items() if node is not None}
        return {key: _check_node(f"{name}.{key}", node) for key, node in nodes.items()}
    if is_dataclass(kind):
        make: Any = kind
        return make(**_check_values(kind, _require_dict(name, value), f"{name}."))
    try:
        value = _convert(get_types(annotation), value)
    except ValueError:
        raise make_option_error(name, value, _describe_types(annotation)) from None
    if value is not None:
        check_value(annotation, name, value)
    return value


def _require_dict(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise make_option_error(name, value, f"takes options below it: {name}.NAME=VALUE")
    return value


def _convert(kinds: tuple[Any, ...], value: Any) -> Any:
    """Return a value in the first of these types that accepts it. Raise ValueError if none does."""
    if Any in kinds:
        return value
    # A value of a valid type stays as it is, but for a text where an int is valid too: a number
    # from an environment variable is a string. Such a union names int before str.
    if type(value) in kinds and not (isinstance(value, str) and int in kinds):
        return value
    for kind in kinds:
        with contextlib.suppress(ValueError, OmegaConfBaseException):
            return _convert_to(kind, value)
    raise ValueError


def _convert_to(kind: Any, value: Any) -> Any:
    """Convert a value to a type as OmegaConf does. Raise an error if this fails."""
    if typing.get_origin(kind) is list:
        items = value if isinstance(value, list) else [value]
        return [_convert(get_types(typing.get_args(kind)[0]), item) for item in items]
    if kind not in _DESCRIPTIONS:
        raise ValueError
    typed: Any = OmegaConf.to_container(ListConfig([value], element_type=kind))
    if type(typed[0]) is not kind:
        raise ValueError
    return typed[0]


def _describe_types(annotation: Any) -> str:
    """Return the end of an error message, such as "takes a whole number"."""
    kinds = {*get_types(annotation)}
    words = [word for kind, word in _DESCRIPTIONS.items() if kind in kinds]
    ranges = [trait for trait in get_traits(annotation) if isinstance(trait, Range)]
    if {str, list[str]} <= kinds:
        words = ["a path or a list of paths: [a.txt,b.txt]"]
    elif len(words) < len(kinds - {type(None)}) and ranges:
        return ranges[0].requirement
    return f"takes {' or '.join([*words, *['null'] * (type(None) in kinds)])}"


def _check_node(path: str, value: Any, schema: Any = None) -> dict[str, Any]:
    """Check the node at a path, and return its values.

    The schema checks the options that it declares, and the signature of the target the others.
    """
    target = _require_dict(path, value).get("_target_")
    if not isinstance(target, str) or not target:
        raise make_option_error(f"{path}._target_", target, "takes the dotted name of a class")
    checked = {name: item for name, item in value.items() if name in _HYDRA_KEYS}
    rest = {str(name): item for name, item in value.items() if name not in _HYDRA_KEYS}
    if schema is not None:
        # Another class may have parameters that the schema does not declare, and lack others.
        names = rest if target.startswith("charrnn.") else get_annotations(schema)
        declared = {name: rest.pop(name) for name in [*rest] if name in names}
        declared = _check_values(schema, declared, f"{path}.")
        schema(**declared)  # checks the rules between the options of a node
        checked |= declared
    if rest or schema is None or target not in _KNOWN_TARGETS:
        checked |= check_target(path, target, rest)
    return checked


def check_target(path: str, target: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of the node at `path` by the signature of its target, and return them.

    Missing arguments are no error, because a run adds some when it builds the node.
    """
    checked = dict(arguments)
    called = _import_target(f"{path}._target_", target)
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):  # Some functions that are written in C have no signature.
        return checked
    parameters = signature.parameters
    from charrnn.options.training import INSTEAD  # only a training has nodes

    if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in arguments:
            hint = f"{target} takes no {name}{suggest_name(name, parameters)}"
            hint = INSTEAD.get(f"{path}.{name}", hint)
            require(name in parameters, f"{path}.{name}", arguments[name], hint)
    for name, value in arguments.items():
        default = parameters[name].default if name in parameters else None
        # A number from an environment variable is a string.
        if type(default) in (int, float) and isinstance(value, str):
            checked[name] = _check_value(f"{path}.{name}", int | float, value)
    is_ours = target.startswith("charrnn.")
    function: Any = getattr(called, "__init__") if isinstance(called, type) else called  # noqa: B009
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:
        if is_ours:
            raise
        return checked  # A library may annotate with names that it imports only for type checkers.
    for name, annotation in hints.items():
        kinds = {*get_types(annotation)}
        # Libraries take more than they declare, but a text is a text: logger.tensorboard.name=2024
        is_checked = _DESCRIPTIONS.keys() & kinds if is_ours else str in kinds <= {str, type(None)}
        if name in arguments and is_checked:
            checked[name] = _check_value(f"{path}.{name}", annotation, arguments[name])
    return checked


def _import_target(option: str, target: str) -> Any:
    """Return the class or function with a dotted name, the value of an option."""
    loads_torch = target.startswith(("charrnn.", "torch.")) and "torch" not in sys.modules
    if loads_torch and sys.stderr.isatty():
        say("loading PyTorch ...")  # which takes some seconds
    try:
        called = pkgutil.resolve_name(target)
    except AttributeError as error:
        module = error.obj
        hint = suggest_name(str(error.name), dir(module))
        reason = f"{getattr(module, '__name__', module)} has no {error.name}{hint}"
        raise make_option_error(option, target, reason) from error
    except ModuleNotFoundError as error:
        reason = f"{to_one_line(error)}; is it installed, or on PYTHONPATH?"
        raise make_option_error(option, target, reason) from error
    except Exception as error:  # The module may raise anything.
        reason = f"cannot be imported ({to_one_line(error, 500, with_type=True)})"
        raise make_option_error(option, target, reason) from error
    require(callable(called), option, target, "is neither a class nor a function")
    return called
