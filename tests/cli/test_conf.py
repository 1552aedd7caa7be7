"""conf/ as a person reads it and as Hydra composes it agree."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest
import yaml

from charrnn import plugins
from charrnn.cells import CELLS
from charrnn.cli import conf
from charrnn.cli.checked_options import hints_of, kind_of
from charrnn.cli.node_options import TARGETS
from charrnn.options.ranges import NODE, NODES

COMMANDS = list(plugins.commands())
YAML = sorted(
    path
    for command in COMMANDS
    for folder in plugins.conf_folders(command)
    for path in (*folder.rglob("*.yaml"), *plugins.added_options(command))
)
YAML = list(dict.fromkeys(YAML))


def fields(schema: Any, prefix: str = "") -> set[str]:
    """The options that a schema declares itself, and those of the nodes of the defaults."""
    names: set[str] = set()
    for name, hint in hints_of(schema).items():
        kind = kind_of(hint)
        if {NODE, NODES} & set(typing.get_args(hint)[1:]):
            continue
        if dataclasses.is_dataclass(kind):
            names |= fields(kind, f"{prefix}{name}.")
        else:
            names.add(prefix + name)
    return names


def defaults(command: str) -> set[str]:
    """What the nodes declare that the default choices name."""
    page = conf.page(command)
    names: set[str] = set()
    for group, choice in page.defaults.items():
        if group in conf.WITHOUT_A_NODE:
            continue
        for name, option in conf._chosen(conf.CONF / group / f"{choice}.yaml").items():
            if name.endswith("_target_"):
                node = f"{group}.{name}".removesuffix("._target_")
                names |= fields(TARGETS[option.default], f"{node}.")
    return names


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_and_has_a_type(command: str) -> None:
    page = conf.page(command)
    explained = {name for name, option in page.options.items() if option.explanation}
    assert explained == set(page.options)
    declared = fields(plugins.options_of(command)) | defaults(command)
    assert {n for n in explained if not n.startswith("hydra.")} == declared


def test_each_command_has_a_title_and_examples() -> None:
    for command in COMMANDS:
        page = conf.page(command)
        assert page.title
        assert page.examples
        assert all(f"charrnn {command} " in example for example in page.examples)


def test_every_choice_is_explained_and_the_default_is_first() -> None:
    page = conf.page("train")
    assert {group: next(iter(choices)) for group, choices in page.groups.items()} == {
        "data": "shakespeare",
        "model": "lstm",
        "optimizer": "muon",
        "schedule": "linear",
        "trainer": "auto",
        "callbacks": "default",
        "logger": "default",
        "experiment": next(iter(page.groups["experiment"])),
        "debug": next(iter(page.groups["debug"])),
        # which an extra has
        **{group: next(iter(page.groups[group])) for group in {"sweep"} & set(page.groups)},
    }
    assert page.defaults["experiment"] == "null"
    assert all(text for choices in page.groups.values() for text in choices.values())
    assert "base" not in page.groups["model"]


def test_a_choice_is_laid_over_its_base() -> None:
    options = conf.page("train").options
    default, explanation = options["model.kind"]
    assert default == "lstm"
    assert set(explanation.replace(" or ", ", ").split(", ")) == CELLS.keys()
    assert options["model.hidden_size"].default == "null"
    assert options["data.corpus"].default == "shakespeare"


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.stem)
def test_reading_lines_agrees_with_a_yaml_parser(path: Any) -> None:
    parsed = yaml.safe_load(path.read_text())
    parsed.pop("defaults", None)

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in values.items():
            if isinstance(value, dict) and value:
                result |= flat(value, f"{prefix}{name}.")
            else:
                result[prefix + name] = value
        return result

    _, _, options = conf._read(path)
    # what a sweep goes through is no option
    expected = {n: v for n, v in flat(parsed).items() if not n.startswith("hydra.sweeper.params.")}
    assert {n: yaml.safe_load(o.default) for n, o in options.items()} == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_the_defaults_compose_to_the_defaults_shown(command: str, door: Any) -> None:
    answer = door(command, "--cfg", "job")
    assert answer.code == 0, answer
    composed = yaml.safe_load(answer.out)
    assert set(composed) == {
        field.name for field in dataclasses.fields(plugins.options_of(command))
    }
    for name, option in conf.page(command).options.items():
        if name.startswith("hydra."):
            continue
        value = composed
        for part in name.split("."):
            value = value[part]
        shown = yaml.safe_load(option.default)
        assert value == shown or float(value) == float(shown), name
