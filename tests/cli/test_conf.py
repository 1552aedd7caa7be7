"""conf/ as a person reads it, as Hydra composes it and as --help prints it; Python's defaults."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_method

from charrnn import plugins
from charrnn.cli import conf, help
from charrnn.cli.checked_options import hints_of, kind_of
from charrnn.networks.cells import CELLS
from charrnn.options.ranges import NODE, NODES
from charrnn.options.training import TrainOptions

COMMANDS = list(plugins.commands())
PAGE = conf.page("train")
DECLARED = {
    name: kind_of(hint)
    for name, hint in hints_of(TrainOptions).items()
    if dataclasses.is_dataclass(kind_of(hint))
}
# what differs from Python's defaults, and why
DIFFERENT = {
    "model.skip": "model files without it mean none; a recipe has the better one",
    "model.kind": "each choice is one",
    "data.corpus": "each choice is one",
}
FILES = {
    (group, choice): folder / group / f"{choice}.yaml"
    for group in ("data", "model", "optimizer", "schedule", "callbacks", "logger")
    for choice in PAGE.groups[group]
    for folder in reversed(plugins.conf_folders("train"))
    if (folder / group / f"{choice}.yaml").is_file()
}


def fields(schema: Any, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """The options that a schema declares, dotted, but for nodes."""
    for field in dataclasses.fields(schema):
        hint = hints_of(schema).get(field.name)
        if hint is None or {NODE, NODES} & set(typing.get_args(hint)[1:]):
            continue
        if dataclasses.is_dataclass(kind := kind_of(hint)):
            yield from fields(kind, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field


def defaults(found: Iterator[tuple[str, dataclasses.Field[Any]]]) -> dict[str, Any]:
    missing = dataclasses.MISSING
    return {
        name: field.default if field.default is not missing else field.default_factory()
        for name, field in found
        if field.default is not missing or field.default_factory is not missing
    }


def options_of(path: Path, group: str) -> dict[str, Any]:
    """What a file of a group sets, and what it builds under its dotted path."""
    return {f"{group}.{n}": yaml.safe_load(o.default) for n, o in conf._chosen(path).items()}


def built(options: dict[str, Any]) -> dict[str, str]:
    end = "._target_"
    return {name.removesuffix(end): kind for name, kind in options.items() if name.endswith(end)}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command(command: str, door: Any) -> None:
    page, schema = conf.page(command), plugins.options_of(command)
    assert page.title
    assert all(f"charrnn {command} " in example for example in page.examples)
    assert all(option.explanation for option in page.options.values())
    declared = {name for name, _ in fields(schema)}
    for group, choice in page.defaults.items():
        nodes = built(options_of(FILES[group, choice], group)) if (group, choice) in FILES else {}
        if group == "trainer":
            nodes = {"trainer": "lightning.Trainer"}
        for path, target in nodes.items():
            names = {f"{path}.{name}" for name in page.targets[path][target] if name[0] != "_"}
            if path in DECLARED:
                names = {name for name, _ in fields(DECLARED[path], f"{path}.")}
            declared |= names
    assert {name for name in page.options if not name.startswith("hydra.")} == declared
    for name, default in defaults(fields(schema)).items():
        assert yaml.safe_load(page.options[name].default) == default, name
    # composed
    composed = yaml.safe_load(door(command, "--cfg", "job").out)
    assert set(composed) == {field.name for field in dataclasses.fields(schema)}
    for name in declared:
        value = composed
        for part in name.split("."):
            value = value[part]
        shown = yaml.safe_load(page.options[name].default)
        assert value == shown or float(value) == float(shown), name
    # and printed
    assert f"  {command:<12}{page.title}" in help.overview().splitlines()
    lines = help.of(command).splitlines()
    for name, option in page.options.items():
        [line] = [line for line in lines if line.startswith(f"  {name}=")]
        default = "" if option.default == "???" else f"{option.default} "
        assert line.startswith(f"  {name}={default}")
        assert option.explanation in line
        assert line.endswith("(required)") == (option.default == "???")
    assert ("Choices" in "\n".join(lines)) == bool(page.groups)


def test_the_choices() -> None:
    lines = help.of("train").splitlines()
    for group, choices in PAGE.groups.items():
        for place, (choice, explanation) in enumerate(choices.items()):
            is_default = PAGE.defaults[group] == choice
            assert explanation
            assert is_default == (place == 0 and group not in conf.WITHOUT_A_NODE)
            [line] = [line for line in lines if line.startswith(f"  {group}={choice} ")]
            assert line.endswith(explanation + " (the default)" * is_default)
    default, explanation = PAGE.options["model.kind"]  # laid over its base
    assert default == "lstm"
    assert set(explanation.replace(" or ", ", ").split(", ")) == CELLS.keys()


YAML = dict.fromkeys(
    path
    for command in COMMANDS
    for folder in plugins.conf_folders(command)
    for path in (*folder.rglob("*.yaml"), *plugins.added_options(command))
    if path.name != "by_length.yaml"  # a table
)


@pytest.mark.parametrize("path", sorted(YAML), ids=lambda path: path.stem)
def test_reading_lines_agrees_with_a_yaml_parser(path: Path) -> None:
    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in values.items():
            nested = isinstance(value, dict) and value
            result |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
        return result

    parsed = yaml.safe_load(path.read_text())
    parsed.pop("defaults", None)
    _, _, options = conf._read(path)
    # what a sweep goes through is no option
    expected = {n: v for n, v in flat(parsed).items() if not n.startswith("hydra.sweeper.params.")}
    assert {n: yaml.safe_load(o.default) for n, o in options.items()} == expected


@pytest.mark.parametrize(("group", "choice"), FILES)
def test_what_is_built_has_the_defaults_of_its_file(group: str, choice: str) -> None:
    given = options_of(FILES[group, choice], group)
    for path, target in built(given).items():
        known = defaults(fields(DECLARED[path], f"{path}.")) if path in DECLARED else {}
        if target.startswith("charrnn."):
            parameters = inspect.signature(get_method(target)).parameters
            for name, parameter in parameters.items():
                if parameter.default is not parameter.empty:
                    known[f"{path}.{name}"] = parameter.default
        for name, default in known.items():
            value = given.get(name, default)
            same = value == (list(default) if isinstance(default, tuple) else default)
            assert same or name in DIFFERENT or float(value) == float(default), (name, default)
