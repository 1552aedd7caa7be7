"""From a composed config to checked options.

The nodes of data, model and trainer are held to the dataclasses that their constructors use, and
all others to the signature of what they name, which is imported for that, once all else is checked:
charrnn's own to the ranges in it, too. What is unknown is refused, with the nearest name, and
whatever exists can be used.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import pkgutil
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from omegaconf import ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from charrnn import plugins
from charrnn.cli import conf
from charrnn.errors import InputError, format_install_command, suggest_name, to_one_line
from charrnn.options.ranges import (
    NODE,
    NODES,
    Range,
    Trait,
    check_value,
    make_option_error,
    require,
)

# targets that import their package only when they are built -> the extra that brings it
_EXTRAS = {
    "lightning.pytorch.loggers.WandbLogger": "wandb",
    "lightning.pytorch.loggers.MLFlowLogger": "mlflow",
}
# what Hydra's instantiate reads of a node itself
_OF_HYDRA = frozenset({"_target_", "_partial_", "_convert_", "_recursive_", "_args_"})
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list[str]: "a list of texts: [one,two]",
    list[float]: "a list of numbers: [0.2,0.5]",
}


class UnknownOption(InputError):
    """A name that nothing takes.

    Attributes:
        names: those that could have been meant.
    """

    def __init__(self, name: str, value: object, names: list[str]) -> None:
        super().__init__(str(make_option_error(name, value, "no such option")))
        self.name, self.value, self.names = name, value, names

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.value, self.names)


def build(schema: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    """Make `schema` of plain values, every one checked.

    Args:
        prefix: stands before the names in error messages.

    Raises:
        InputError: names an option that is wrong, unknown or missing.
    """
    hints = hints_of(schema)
    for name, value in values.items():
        if name not in hints:
            raise UnknownOption(f"{prefix}{name}", value, [prefix + known for known in hints])
    if missing := [name for name in hints if name not in values]:
        raise InputError(f"{prefix}{missing[0]}: cannot be left out")
    # last those for which something is imported
    order = sorted(hints, key=lambda name: _imports(hints[name]))
    made = schema(**{name: _checked(prefix + name, hints[name], values[name]) for name in order})
    if hasattr(made, "check"):
        made.check()
    return made


def _imports(hint: Any) -> bool:
    is_foreign = NODE in _extras(hint) and not is_dataclass(kind_of(hint))
    return is_foreign or NODES in _extras(hint)


def declared(schema: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted name of each option of a schema with its annotation."""
    for name, hint in hints_of(schema).items():
        kind = kind_of(hint)
        if is_dataclass(kind):
            yield from declared(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, hint


def options_with(command: str, trait: Trait) -> frozenset[str]:
    """The dotted names of a command's options that have a trait."""
    options = declared(plugins.make_options_class(command))
    return frozenset(name for name, hint in options if trait in _extras(hint))


def hints_of(schema: Any) -> dict[str, Any]:
    """The options of a schema with what they are annotated with."""
    hints = typing.get_type_hints(schema, include_extras=True)
    options = [field for field in fields(schema) if field.metadata.get("is_option", True)]
    return {option.name: hints[option.name] for option in options}


def kind_of(hint: Any) -> Any:
    """The type of a field, without what it is annotated with."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """The members of a field's type where it is a union, or the type itself."""
    kind = kind_of(hint)
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _extras(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()


def _checked(name: str, hint: Any, value: Any) -> Any:
    kind, extras = kind_of(hint), _extras(hint)
    if NODE in extras:
        return node(name, value, kind if is_dataclass(kind) else None)
    if NODES in extras:
        parts = {key: part for key, part in _mapping(name, value).items() if part is not None}
        return {key: node(f"{name}.{key}", part) for key, part in parts.items()}
    if is_dataclass(kind):
        return build(kind, _mapping(name, value), f"{name}.")
    ranges = [extra for extra in extras if isinstance(extra, Range)]
    try:
        value = _converted(kinds_of(hint), value)
    except ValueError:
        raise make_option_error(name, value, _demand(hint, ranges)) from None
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise make_option_error(name, value, "is too large a number")
    if value is not None:
        check_value(hint, name, value)
    return value


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise make_option_error(name, value, f"takes options below it: {name}.NAME=VALUE")
    return value


def _converted(kinds: tuple[Any, ...], value: Any) -> Any:
    """The value as one of these types: as it is where it fits, else as OmegaConf converts it.

    Raises:
        ValueError: it is none of them.
    """
    may_be_number = isinstance(value, str) and int in kinds  # of an environment variable
    if (type(value) in kinds and not may_be_number) or (value is None and type(None) in kinds):
        return value
    for kind in kinds:
        with contextlib.suppress(ValueError, OmegaConfBaseException):
            if typing.get_origin(kind) is list:
                parts = value if isinstance(value, list) else [value]
                return [_converted(kinds_of(typing.get_args(kind)[0]), part) for part in parts]
            if kind in _KINDS:
                typed: Any = OmegaConf.to_container(ListConfig([value], element_type=kind))
                if type(typed[0]) is kind:
                    return typed[0]
    raise ValueError


def _demand(hint: Any, ranges: list[Range]) -> str:
    """What an option takes, by its type: "takes a whole number"."""
    kinds = {*kinds_of(hint)}
    words = [word for kind, word in _KINDS.items() if kind in kinds]
    if {str, list[str]} <= kinds:
        words = ["a path or a list of paths: [a.txt,b.txt]"]
    elif len(words) < len(kinds - {type(None)}) and ranges:
        return ranges[0].requirement
    return f"takes {' or '.join([*words, *['null'] * (type(None) in kinds)])}"


# Nodes with a _target_


def node(path: str, value: Any, schema: Any = None) -> Any:
    """Check a node that says what is built.

    Args:
        path: where it stands, dotted.
        schema: a `Node`, whose options a run reads too: they must all be there, and a target of
            somebody's own takes them.

    Returns:
        That node; without a schema plain values, those of charrnn's in their types.
    """
    target = _mapping(path, value).get("_target_")
    if not isinstance(target, str) or not target:
        raise make_option_error(f"{path}._target_", target, "takes the dotted name of a class")
    if (extra := _EXTRAS.get(target)) and importlib.util.find_spec(extra) is None:
        raise InputError(
            f"{path}: {target} needs the package {extra}: {format_install_command(extra)}"
        )
    of_hydra = {name: part for name, part in value.items() if name in _OF_HYDRA}
    arguments = {str(name): part for name, part in value.items() if name not in _OF_HYDRA}
    if schema is None:
        return {**of_hydra, **check_arguments(path, target, arguments)}
    names = arguments if target.startswith("charrnn.") else hints_of(schema)
    options = {name: arguments.pop(name) for name in [*names] if name in arguments}
    made = build(schema, options, f"{path}.")
    for name, reason in getattr(schema, "RESERVED", {}).items():
        if name in arguments:
            raise make_option_error(
                f"{path}.{name}", arguments[name], f"is not given here: {reason}"
            )
    if arguments or target not in conf.page("train").targets[path]:
        arguments = check_arguments(path, target, arguments)
    return replace(made, rest={**of_hydra, **arguments})


def check_arguments(path: str, target: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Hold the arguments of a node to the signature of its target; returns them.

    What is missing is told when it is built, since training gives arguments of its own.

    Args:
        path: where the node stands, dotted.

    Raises:
        InputError: says what does not exist or is unknown.
    """
    checked = dict(arguments)
    called = _imported(f"{path}._target_", target)
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):  # some of what is written in C does not tell
        return checked
    names = signature.parameters
    if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in names.values()):
        for name in arguments:
            hint = f"{target} takes no {name}{suggest_name(name, names)}"
            require(name in names, f"{path}.{name}", arguments[name], hint)
    for name, value in arguments.items():
        default = names[name].default if name in names else None
        if type(default) in (int, float) and isinstance(value, str):  # of an environment variable
            checked[name] = _checked(f"{path}.{name}", int | float, value)
    if target.startswith("charrnn."):
        function: Any = getattr(called, "__init__") if isinstance(called, type) else called  # noqa: B009
        for name, hint in typing.get_type_hints(function, include_extras=True).items():
            if name in arguments and _KINDS.keys() & {*kinds_of(hint)}:
                checked[name] = _checked(f"{path}.{name}", hint, arguments[name])
    return checked


def _imported(option: str, target: str) -> Any:
    """What a dotted name names: a class or a function.

    Raises:
        InputError: there is none.
    """
    try:
        named = pkgutil.resolve_name(target)
    except AttributeError as error:
        module = error.obj
        hint = suggest_name(str(error.name), dir(module))
        reason = f"{getattr(module, '__name__', module)} has no {error.name}{hint}"
        raise make_option_error(option, target, reason) from error
    except ModuleNotFoundError as error:
        reason = f"{to_one_line(error)}; is it installed, or on PYTHONPATH?"
        raise make_option_error(option, target, reason) from error
    except Exception as error:  # whatever a module does as it is imported
        reason = f"cannot be imported ({to_one_line(error, 500, with_type=True)})"
        raise make_option_error(option, target, reason) from error
    require(callable(named), option, target, "cannot be called, so nothing is built by it")
    return named
