"""Whether what a foreign ``_target_`` names takes the arguments that a config gives it.

What is named is imported, so this takes as long as the import, and only for a node that
names something other than what conf/ has. Nothing is built. A target that takes ``**kwargs``
cannot be checked by name.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from charrnn.cli.building import BadOption
from charrnn.errors import InputError


def check(
    path: str,
    target: str,
    given: Mapping[str, Any],
    supplied: Iterable[str],
    settings: Mapping[str, Any],
) -> None:
    """Hold the arguments of a node to the signature of its target.

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
        return
    by_name = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = [parameter.name for parameter in by_name]
    takes_any = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters)
    for name, value in given.items():
        if name not in names and not takes_any:
            raise BadOption(
                f"{path}.{name}", value, f"{target} takes no {name}{_near(name, names)}"
            )
    if settings.get("_partial_"):
        return
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
            raise BadOption(option, target, f"no {part} in {name}{_near(part, names)}")
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
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadOption(option, target, f"{module} cannot be imported ({what})") from error


def _submodules(found: Any) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(getattr(found, "__path__", []))]


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
