"""What --help says."""

from __future__ import annotations

import pytest

from charrnn import plugins
from charrnn.cli import conf, help

COMMANDS = list(plugins.commands())


def test_the_overview_has_each_command_with_a_line_and_an_example() -> None:
    lines = help.overview().splitlines()
    for command in COMMANDS:
        assert f"  {command:<12}{conf.page(command).title}" in lines
        assert sum(f"charrnn {command} " in line for line in lines) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_has_one_line_with_its_default(command: str) -> None:
    lines = help.of(command).splitlines()
    for name, option in conf.page(command).options.items():
        [line] = [line for line in lines if line.startswith(f"  {name}=")]
        assert option.explanation in line
        if option.default == "???":
            assert line.endswith("(required)")
        else:
            assert line.startswith(f"  {name}={option.default} ")


def test_each_choice_has_a_line_and_the_default_says_so() -> None:
    text = help.of("train")
    for group, choices in conf.page("train").groups.items():
        for choice, explanation in choices.items():
            [line] = [x for x in text.splitlines() if x.startswith(f"  {group}={choice} ")]
            is_default = choice == conf.page("train").defaults[group]
            assert line.endswith(explanation + " (the default)" * is_default)


def test_a_command_without_groups_speaks_of_none() -> None:
    assert "Choices" not in help.of("sample")
    assert "null" not in help.of("convert").split("character for character")[1]
