"""The command of CONTRIBUTING.md in another distribution, by an entry point."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests import REPOSITORY
from tests.conftest import Capture, Patch, write_files
from tests.refusals import refusal_of

PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
MODULE, CONF = (
    re.findall(rf"```{language}\n({begins}.*?)```", PAGE, re.DOTALL)[0]
    for language, begins in (("python", "from dataclasses"), ("yaml", "# charrnn greet"))
)


@pytest.fixture(autouse=True)
def distribution(tmp_path: Path, monkeypatch: Patch) -> None:
    texts = {
        "greeting/__init__.py": MODULE,
        "greeting/greet.yaml": CONF,
        "greeting-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1\n",
        "greeting-1.dist-info/entry_points.txt": "[charrnn.commands]\ngreet = greeting\n"
        "broken = no_such_module\nother = greeting:Options\n",
    }
    write_files(tmp_path, texts)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_a_command_of_another_package_is_like_any_other(capfd: Capture) -> None:
    assert main(["greet", "name=What's (this)?"]) == 0
    assert capfd.readouterr() == ("Good day, What's (this)?!\n", "")
    assert main(["greet", "-m", "name='a','b'"]) == 0
    assert capfd.readouterr().out == "Good day, a!\nGood day, b!\n"
    assert main(["greet", "--help"]) == 0
    assert "name=everybody  who is greeted" in capfd.readouterr().out
    assert main(["greet", "--cfg", "job"]) == 0
    assert capfd.readouterr().out == "name: everybody\n"
    assert list(Path().glob("outputs")) == []


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("greet nme=x", 2, "charrnn greet: nme=x: no such option; did you mean name?\n"),
        ("broken", 1, "charrnn: broken: no_such_module cannot be imported (No module"),
        ("other", 1, "charrnn: other: greeting:Options cannot be imported ("),
    ],
)
def test_a_fault_of_a_package_is_named(words: str, code: int, line: str, capfd: Capture) -> None:
    assert refusal_of(capfd, *words.split(), code=code).startswith(line)
