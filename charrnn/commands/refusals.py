"""What Hydra and OmegaConf have against a command line, in one plain line.

Their own messages speak of merging, nodes and structured configs over several lines; what
a person needs is the option as it was written and what it should have been.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException, ValidationError

from charrnn.commands import conf
from charrnn.errors import InputError
from charrnn.options import SCHEMAS


def explain(error: Exception, command: str, overrides: list[str], multirun: bool) -> InputError:
    """Make an InputError of what was raised while `overrides` were composed."""
    page = conf.page(command)
    parser = OverridesParser.create()
    written: dict[str, str] = {}
    for line in overrides:
        try:
            override = parser.parse_override(line)
        except HydraException:
            return InputError(f"{line}: {_unreadable(line)}")
        if fault := _fault(override, page, multirun):
            return InputError(f"{line}: {fault}")
        written[override.key_or_group] = line
    for cause in _causes(error):
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            group, _, choice = cause.missing_cfg_file.rpartition("/")
            line = written.get(group) or f"{group}={choice}".removeprefix("=")
            return InputError(f"{line}: {_no_such_choice(choice, cause.options or ())}")
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            line = written.get(cause.full_key, cause.full_key)
            return InputError(f"{line}: {_misfit(cause, command, page)}")
    return InputError(" ".join(str(error).split()) or type(error).__name__)


def _fault(override: Override, page: conf.Page, multirun: bool) -> str:
    """What is wrong with an override by itself; "" for nothing."""
    name = override.key_or_group
    if override.is_sweep_override() and not multirun:
        return "several values are a sweep and need -m; a list is written [1,2]"
    is_known = name in page.names() or override.is_hydra_override() or override.package
    if override.type == OverrideType.CHANGE and not is_known:
        return f"no such option{nearest(name, page.names())}"
    if override.is_add() and name in page.names():
        return "is an option already; write it without the +"
    is_choice = override.is_sweep_override() or isinstance(override.value(), str | list | dict)
    if name in page.groups and not is_choice:
        return f"takes one of {', '.join(page.groups[name])}"
    return ""


def _misfit(error: OmegaConfBaseException, command: str, page: conf.Page) -> str:
    name = error.full_key or ""
    if isinstance(error, ValidationError) and (kind := takes(command, name)):
        return kind
    if isinstance(error, KeyError | AttributeError):
        return f"no such option{nearest(name, page.names())}"
    return str(error).splitlines()[0]


def takes(command: str, option: str) -> str:
    """What an option takes, from its type: "takes a whole number"; "" for an unknown one."""
    hint: object = SCHEMAS[command]
    for name in option.split("."):
        if not isinstance(hint, type):
            return ""
        hint = typing.get_type_hints(hint).get(name)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [words[choice] for choice in choices if choice in words]
    if not kinds:
        return ""
    return f"takes {kinds[0]}" + (" or null" if type(None) in choices else "")


def nearest(name: str, names: list[str]) -> str:
    """The hint for a misspelt name, or for one without its group (``batch_size``)."""
    targets = {full.rpartition(".")[2]: full for full in reversed(names)}
    targets |= {full: full for full in names}
    for wanted in (name, name.rpartition(".")[2]):
        if near := difflib.get_close_matches(wanted, targets, n=1):
            return f"; did you mean {targets[near[0]]}?"
    return "; --help lists them"


def _unreadable(override: str) -> str:
    name, equals, _ = override.partition("=")
    if not equals:
        return "options are written NAME=VALUE; --help lists them"
    return (
        "cannot be read in Hydra's grammar; "
        f"quote a value with special characters: {name}=\"'...'\""
    )


def _no_such_choice(choice: str, options: Sequence[str]) -> str:
    options = [name for name in options if name != "base"]
    if not options:
        return "no such file in conf/ or --config-dir"
    near = difflib.get_close_matches(choice, options, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"no such choice; {hint}There are: {', '.join(options)}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
