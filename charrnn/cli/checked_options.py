"""From a composed config to checked options: the only builder.

The nodes of data, model and trainer are held to the dataclasses that their constructors use, and
all others to the signature of what they name, which is imported for that, once all else is checked:
charrnn's own to the ranges in it, too. One that takes ``**kwargs`` cannot be checked by name. A
node without a ``_target_`` is closed. So what is unknown is refused, with the nearest name, and
whatever exists can be used.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

from charrnn import errors, plugins
from charrnn.cli import conf
from charrnn.errors import InputError, did_you_mean, one_line
from charrnn.options.datasets import DataOptions
from charrnn.options.networks import NetworkOptions
from charrnn.options.ranges import NODE, NODES, PATH, Range, Trait, require_path
from charrnn.options.training import TrainerOptions
from charrnn.runs.recorded_config import OF_HYDRA

# what training gives to the things that it builds, besides what the config says
SUPPLIED = {
    "model": {"vocabulary", "optimizer", "schedule"},
    "optimizer": {"params", "named_parameters"},
    "schedule": {"optimizer"},
    "trainer": {"callbacks", "logger", "plugins"},
    "callbacks": {"run"},
    "logger": {"run", "save_dir"},
}
# what stands in these is read elsewhere too: all their options must be there, and a target of
# somebody's own takes them
DECLARED: dict[str, Any] = {
    "data": DataOptions,
    "model": NetworkOptions,
    "trainer": TrainerOptions,
}
# packages that a target may need and charrnn does not -> the extra that brings them
_EXTRAS = {"wandb": "wandb", "mlflow": "mlflow", "optuna": "sweep"}
_NEEDS = {
    "lightning.pytorch.loggers.WandbLogger": "wandb",
    "lightning.pytorch.loggers.MLFlowLogger": "mlflow",
}


def written(value: object) -> str:
    """A value as a person writes it on the command line; a very long one is cut."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else errors.shown(value)


class BadOption(InputError):
    """An option whose value cannot be used; who knows where it was written may say so."""

    def __init__(self, name: str, value: object, demand: str) -> None:
        super().__init__(f"{name}={written(value)}: {demand}")
        self.name, self.value, self.demand = name, value, demand

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.value, self.demand)


class Unknown(InputError):
    """A name that nothing takes."""

    def __init__(self, name: str, value: object, names: list[str]) -> None:
        super().__init__(f"{name}={written(value)}: no such option")
        self.name, self.value, self.names = name, value, names

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.value, self.names)


class Missing(InputError):
    """An option that must be there and was taken out."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: cannot be left out")
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name,)


def build(schema: Any, values: dict[str, Any], prefix: str = "") -> Any:
    """Make `schema` of plain values, every one checked.

    Args:
        prefix: stands before the names in what is said of them.

    Raises:
        BadOption, Unknown, InputError: names an option that is wrong, unknown or missing.
    """
    hints = hints_of(schema)
    for name, value in values.items():
        if name not in hints:
            raise Unknown(prefix + str(name), value, [prefix + known for known in hints])
    checked = {}
    # last those for which something is imported
    for name, hint in sorted(hints.items(), key=lambda item: _is_foreign(*item)):
        if name in values:
            checked[name] = _checked(hint, prefix + name, values[name])
        else:
            raise Missing(prefix + name)
    made = schema(**checked)
    if hasattr(made, "check"):
        made.check(prefix)
    return made


def _is_foreign(name: str, hint: Any) -> bool:
    return name not in DECLARED and bool({NODE, NODES} & {*_extras(hint)})


def takes(hint: Any) -> str:
    """What an option takes, from its type: "takes a whole number"; "" for none of the usual."""
    kinds = kinds_of(kind_of(hint))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    words[list[str]] = "a list of texts: [one,two]"
    words[list[float]] = "a list of numbers: [0.9,0.999]"
    if list[int] in kinds or list[float | str] in kinds:
        return ""
    if list[str] in kinds and str in kinds:
        text = "a path or a list of paths: [a.txt,b.txt]"
    else:
        text = " or ".join(words[kind] for kind in kinds if kind in words)
    return f"takes {text}" + " or null" * (type(None) in kinds) if text else ""


def declared(command: str) -> Iterator[tuple[str, Any]]:
    """The dotted name of each declared option with its annotation."""
    yield from _below(plugins.options_of(command), "")
    for path in conf.page(command).targets.keys() & DECLARED.keys():
        yield from _below(DECLARED[path], f"{path}.")


def having(command: str, trait: Trait) -> frozenset[str]:
    """The dotted names of a command's options that have a trait."""
    return frozenset(name for name, hint in declared(command) if trait in traits_of(hint))


def _below(schema: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, hint in hints_of(schema).items():
        kind = kind_of(hint)
        if is_dataclass(kind) and NODE not in _extras(hint):
            yield from _below(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, hint


def hints_of(schema: Any) -> dict[str, Any]:
    """The fields of a schema with what they are annotated with."""
    hints = typing.get_type_hints(schema, include_extras=True)
    return {field.name: hints[field.name] for field in fields(schema)}


def kind_of(hint: Any) -> Any:
    """The type of a field, without what it is annotated with."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def kinds_of(kind: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def traits_of(hint: Any) -> set[Any]:
    """The traits of a field."""
    return {extra for extra in _extras(hint) if isinstance(extra, Trait)}


def _extras(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()


def _checked(hint: Any, name: str, value: Any) -> Any:
    kind, extras = kind_of(hint), _extras(hint)
    if is_dataclass(kind) and NODE not in extras:
        if not isinstance(value, dict):
            raise BadOption(name, value, f"takes options below it: {name}.NAME=VALUE")
        return build(kind, value, f"{name}.")
    if NODE in extras:
        values = node(name, value, SUPPLIED.get(name, set()))
        return kind.of(values) if hasattr(kind, "of") else values
    if NODES in extras:
        if not isinstance(value, dict):
            raise BadOption(name, value, f"takes nodes below it: +{name}.NAME._target_=CLASS")
        given = {key: part for key, part in value.items() if part is not None}
        return {k: node(f"{name}.{k}", part, SUPPLIED[name]) for k, part in given.items()}
    value = _converted(kinds_of(kind), value, name, hint)
    for text in value if isinstance(value, list) else [value]:
        if PATH in extras and text == "":
            raise BadOption(name, value, "takes a path")
        if PATH in extras and isinstance(text, str):
            require_path(name, text)
    for extra in extras:
        if isinstance(extra, Range) and value is not None and not extra.admits(value):
            raise BadOption(name, value, extra.demand)
    return value


def _converted(kinds: tuple[Any, ...], value: Any, name: str, hint: Any) -> Any:
    """The value as one of these types: as it is where it fits, else converted.

    A number may come as a text, from a file or an environment variable, and a text that
    looks like a number as one.
    """
    if type(value) in kinds or (value is None and type(None) in kinds):
        made = value
    else:
        for kind in kinds:
            try:
                made = _CONVERSIONS[kind](value)
                break
            except (KeyError, TypeError, ValueError, OverflowError):
                continue
        else:
            raise BadOption(name, value, takes(hint) or _demand(hint))
    if type(made) is int and not -(2**63) <= made < 2**63:
        raise BadOption(name, made, "is too large a number")
    return made


def _demand(hint: Any) -> str:
    demands = [extra.demand for extra in _extras(hint) if isinstance(extra, Range)]
    return demands[0] if demands else "has a value of another kind"


def _integer(value: Any) -> int:
    if type(value) not in (int, str):
        raise TypeError
    return int(value)


def _float(value: Any) -> float:
    if type(value) not in (float, int, str):
        raise TypeError
    return float(value)


def _boolean(value: Any) -> bool:
    if type(value) not in (int, bool, str):
        raise TypeError
    words = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
    text = str(value).lower()
    return words[text] if text in words else bool(int(text))


def _text(value: Any) -> str:
    if type(value) not in (int, float, bool, str):
        raise TypeError
    return str(value)


def _texts(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise TypeError
    return parts


def _numbers(value: Any) -> list[float]:
    return [_float(part) for part in value] if isinstance(value, list) else _refuse()


def _numbers_or_texts(value: Any) -> list[float | str]:
    parts = value if isinstance(value, list) else _refuse()
    return [part if type(part) is str else _float(part) for part in parts]


def _integers(value: Any) -> list[int]:
    return [_integer(part) for part in value] if isinstance(value, list) else _refuse()


def _refuse() -> Any:
    raise TypeError


_CONVERSIONS: dict[Any, Any] = {
    int: _integer,
    float: _float,
    bool: _boolean,
    str: _text,
    list[str]: _texts,
    list[float]: _numbers,
    list[float | str]: _numbers_or_texts,
    list[int]: _integers,
}


# Nodes with a _target_


def node(path: str, value: Any, supplied: set[str]) -> dict[str, Any]:
    """Check a node that says what is built.

    Args:
        path: where it stands, dotted.
        supplied: the names of arguments that it is built with in any case.

    Returns:
        The node as plain values, those of ours in their types.
    """
    if not isinstance(value, dict):
        raise BadOption(path, value, f"takes options below it: {path}.NAME=VALUE")
    target = value.get("_target_")
    if not isinstance(target, str) or not target:
        name = f"{path}._target_"
        if target is None:
            raise InputError(f"{name} is required: {name}=CLASS, what is built there")
        raise BadOption(name, target, "takes the dotted name of what is built")
    for name in ("_partial_", "_recursive_"):
        if not isinstance(value.get(name, False), bool):
            raise BadOption(f"{path}.{name}", value[name], "takes true or false")
    own = {name: part for name, part in value.items() if name in OF_HYDRA}
    given = {str(name): part for name, part in value.items() if name not in OF_HYDRA}
    if (package := _NEEDS.get(target)) and importlib.util.find_spec(package) is None:
        raise InputError(f"{path}: {target} needs the package {package}: {errors.install(package)}")
    schema = DECLARED.get(path)
    if schema is None:
        return {**own, **_nested(path, check(path, target, given, supplied, own))}
    if target.startswith("charrnn."):
        return {**own, **vars(build(schema, given, f"{path}."))}
    names = {field.name for field in fields(schema)}
    made = build(schema, {n: part for n, part in given.items() if n in names}, f"{path}.")
    further = {name: part for name, part in given.items() if name not in names}
    for name, part in further.items():
        if reserved := getattr(schema, "RESERVED", {}).get(name):
            raise BadOption(f"{path}.{name}", part, f"is not given here: {reserved}")
    if further or target not in conf.page("train").targets[path]:
        further = check(path, target, further, supplied | names, own)
    return {**own, **vars(made), **_nested(path, further)}


def _nested(path: str, values: dict[str, Any]) -> dict[str, Any]:
    """Check the nodes among the arguments of another node, however deep."""

    def visit(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            if "_target_" in value:
                return node(name, value, set())
            return {key: visit(f"{name}.{key}", part) for key, part in value.items()}
        if isinstance(value, list):
            return [visit(f"{name}.{index}", part) for index, part in enumerate(value)]
        return value

    return {name: visit(f"{path}.{name}", value) for name, value in values.items()}


def check(
    path: str,
    target: str,
    given: Mapping[str, Any],
    supplied: Iterable[str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Hold the arguments of a node to the signature of its target; returns them.

    Args:
        path: where the node stands, dotted.
        given: the arguments in the config.
        supplied: those that it is built with besides.
        settings: the node's ``_partial_``, ``_args_`` and the like.

    Raises:
        BadOption, InputError: says what does not exist, is unknown or missing.
    """
    named = _located(f"{path}._target_", target)
    if not callable(named):
        raise BadOption(f"{path}._target_", target, "cannot be called, so nothing is built by it")
    try:
        parameters = list(inspect.signature(named).parameters.values())
    except (TypeError, ValueError):  # some of what is written in C does not tell
        return dict(given)
    by_name = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = [parameter.name for parameter in by_name]
    takes_any = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters)
    for name, value in given.items():
        if name not in names and not takes_any:
            raise BadOption(
                f"{path}.{name}",
                value,
                f"{target} takes no {name}{did_you_mean(name, names)}",
            )
    checked = dict(given)
    defaults = {parameter.name: parameter.default for parameter in by_name}
    for name, value in given.items():
        # a number may come as a text, from a file or an environment variable
        if type(defaults.get(name)) in (int, float) and isinstance(value, str):
            checked[name] = _converted((int, float), value, f"{path}.{name}", float)
    if target.startswith("charrnn."):
        function: Any = getattr(named, "__init__") if isinstance(named, type) else named  # noqa: B009
        for name, hint in typing.get_type_hints(function, include_extras=True).items():
            if name in given and _CONVERSIONS.keys() & {*kinds_of(kind_of(hint))}:
                checked[name] = _checked(hint, f"{path}.{name}", given[name])
    if settings.get("_partial_"):
        return checked
    positional = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    have = {*given, *supplied, *positional[: len(settings.get("_args_") or ())]}
    for parameter in parameters:
        required = parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_ONLY,
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        if required and parameter.name not in have:
            name = f"{path}.{parameter.name}"
            raise InputError(f"{name} is required by {target}: +{name}=VALUE")
    return checked


def _located(option: str, target: str) -> Any:
    """What a dotted name names: a module, and then attributes of it."""
    first, *rest = target.split(".")
    if not all(part.isidentifier() for part in (first, *rest)):
        raise BadOption(option, target, "is no dotted name; a class is written module.Class")
    found: Any = _imported(option, target, first)
    if found is None:
        raise BadOption(
            option, target, f"there is no module {first}; is it installed, or on PYTHONPATH?"
        )
    name = first
    for part in rest:
        inner = getattr(found, part, _ABSENT)
        if inner is _ABSENT and isinstance(found, ModuleType) and hasattr(found, "__path__"):
            module = _imported(option, target, f"{name}.{part}")
            inner = _ABSENT if module is None else module
        if inner is _ABSENT:
            names = [n for n in dir(found) if not n.startswith("_")] + _submodules(found)
            raise BadOption(option, target, f"no {part} in {name}{did_you_mean(part, names)}")
        found, name = inner, f"{name}.{part}"
    return found


_ABSENT = object()


def _imported(option: str, target: str, module: str) -> ModuleType | None:
    """Import a module; None if there is none of that name."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            return None
        raise BadOption(option, target, f"{module} needs the module {error.name}") from error
    except Exception as error:  # whatever the module does as it is imported
        what = one_line(error, 500, kind=True)
        raise BadOption(option, target, f"{module} cannot be imported ({what})") from error


def _submodules(found: Any) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(getattr(found, "__path__", []))]
