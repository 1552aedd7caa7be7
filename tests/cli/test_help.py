"""conf/, as a person reads it, as Hydra composes it, as --help prints it, and Python's defaults."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hydra.utils import get_method

from charrnn import plugins
from charrnn.cli import help_page
from charrnn.options.ranges import get_annotations, get_schema
from tests.conftest import Patch

COMMANDS = list(plugins.list_commands())


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, dict) and value
        result |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return result


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def defaults_of(options: dict[str, help_page.Option]) -> dict[str, Any]:
    return {name: yaml.safe_load(option.default) for name, option in options.items()}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_explains_every_option(command: str, door: Any, monkeypatch: Patch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # no line is wrapped
    page = help_page.read_page(command)
    assert all(f"charrnn {command} " in f"{example} " for example in page.examples)
    composed = flat(yaml.safe_load(door(command, "--cfg", "job").out))
    chosen = {n: o for n, o in page.options.items() if not (o.only or n.startswith("hydra."))}
    shown = defaults_of(chosen)
    # an option that refers to another one of the page needs no line
    composed = {n: v for n, v in composed.items() if n in shown or not is_reference(v)}
    composed = {n: v for n, v in composed.items() if n.rpartition(".")[2][0] != "_"}
    assert shown.keys() == composed.keys()
    for name, value in composed.items():
        assert value == shown[name] or float(value) == float(shown[name]), name
    assert f"  {command:<12}{page.title}" in help_page.format_overview().splitlines()
    lines = help_page.format_help(command).splitlines()
    for name, option in page.options.items():
        default = "" if option.default == "???" else f"{option.default} "
        [line] = [line for line in lines if line.startswith(f"  {name}={default}")]
        assert option.explanation
        assert option.explanation in line


# Each choice is one of them, and Lightning's patience is 3.
DIFFERENT = {"model.kind", "kind", "data.input_txt", "input_txt", "early_stopping.patience"}


def python_defaults(called: Any, prefix: str = "") -> dict[str, Any]:
    parameters = inspect.signature(called).parameters.items()
    return {prefix + n: p.default for n, p in parameters if p.default is not p.empty}


def pair_defaults() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the defaults of options by their names, in YAML and in Python."""
    for command in COMMANDS:
        schema = plugins.get_command(command).get("OPTIONS")
        known, shown = python_defaults(schema), defaults_of(help_page.read_page(command).options)
        for name, hint in get_annotations(schema).items():
            if (kind := get_schema(hint)) is not None:
                known |= python_defaults(kind, f"{name}.")
        yield shown, known
    for group in ("data", "model", "optimizer", "schedule", "callbacks", "logger"):
        for file in (plugins.CONF / group).glob("*.yaml"):
            shown = defaults_of(help_page._read_choice(file))
            for name, target in shown.items():
                if name.endswith("_target_") and target.startswith("charrnn."):
                    yield shown, python_defaults(get_method(target), name.removesuffix("_target_"))


def test_a_default_is_the_same_in_yaml_and_in_python() -> None:
    both = [*pair_defaults()]
    pairs = [(name, s[name], known[name]) for s, known in both for name in s if name in known]
    assert len(pairs) > 90
    for option, shown, default in pairs:
        if not is_reference(shown) and option not in DIFFERENT:
            same = shown == (list(default) if isinstance(default, tuple) else default)
            assert same or float(shown) == float(default), option
