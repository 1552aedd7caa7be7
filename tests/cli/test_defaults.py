"""The YAML files have the defaults of the command line; whoever has one beside it has the same."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hydra.utils import get_method

from charrnn import plugins
from charrnn.cli import conf
from charrnn.cli.checked_options import hints_of, kind_of
from charrnn.cli.node_options import TARGETS
from charrnn.options.ranges import NODE

# what differs from Python's, and why
DIFFERENT = {
    "model.skip": "model files without it mean none; a recipe has the better one",
    "model.kind": "each choice is one",
    "data.corpus": "each choice is one",
}
GROUPS = ("data", "model", "optimizer", "schedule", "callbacks", "logger")
CHOICES = [(group, choice) for group in GROUPS for choice in conf.page("train").groups[group]]


def defaults_of(schema: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    hints = hints_of(schema)
    for field in dataclasses.fields(schema):
        if NODE in typing.get_args(hints[field.name])[1:]:
            continue  # it is built, and has the defaults of its file
        if dataclasses.is_dataclass(kind := kind_of(hints[field.name])):
            yield from defaults_of(kind, f"{prefix}{field.name}.")
        elif field.default_factory is not dataclasses.MISSING:
            yield prefix + field.name, field.default_factory()
        elif field.default is not dataclasses.MISSING:
            yield prefix + field.name, field.default


def taken_by(target: str, path: str) -> dict[str, Any]:
    """The defaults of what stands behind a ``_target_`` of charrnn's, by dotted name."""
    found = dict(defaults_of(TARGETS[target], f"{path}."))
    if target.startswith("charrnn."):
        for name, parameter in inspect.signature(get_method(target)).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                found[f"{path}.{name}"] = parameter.default
    return found


@pytest.mark.parametrize("command", list(plugins.commands()))
def test_a_command_has_the_defaults_of_its_dataclass(command: str) -> None:
    written = conf.page(command).options
    for name, default in defaults_of(plugins.options_of(command)):
        assert yaml.safe_load(written[name].default) == default, name


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_what_is_built_has_the_defaults_of_its_file(group: str, choice: str) -> None:
    place = next(
        path
        for folder in plugins.conf_folders("train")
        if (path := folder / group / f"{choice}.yaml").is_file()
    )
    written = {f"{group}.{n}": yaml.safe_load(o.default) for n, o in conf._chosen(place).items()}
    end = "._target_"
    targets = {n.removesuffix(end): kind for n, kind in written.items() if n.endswith(end)}
    for path, target in targets.items():
        for name, default in taken_by(target, path).items():
            value = written.get(name, default)
            same = value == (list(default) if isinstance(default, tuple) else default)
            assert same or name in DIFFERENT or float(value) == float(default), (name, default)
