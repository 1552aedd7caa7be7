"""The benchmarks run: what they say of times is not looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import large_text, recipes, unknown_words
from benchmarks.__main__ import main
from benchmarks.measuring import Effort, measure_in_turns
from benchmarks.report import format_table, make_ratio, make_row
from benchmarks.sections import SECTIONS
from charrnn.cli import help_page
from charrnn.text.training_text import TrainingText


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS)
def test_every_section(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, output = tmp_path / "text.txt", tmp_path / "found"
    text.write_text("ROMEO:\nTo be, or not to be, that is the question:\n" * 1500, encoding="utf-8")
    options = [name, "--tiny", "--text", str(text), "--output", str(output)]
    assert main([*options, "--folder", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"### {SECTIONS[name]}" in printed
    assert (output / "benchmarks.md").read_text(encoding="utf-8") == printed
    assert not list(tmp_path.glob("charrnn-bench-*"))


@pytest.mark.slow
def test_large_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert large_text.main(["--bytes", "30000", "--steps", "1", "--folder", str(tmp_path)]) == 0
    table, machine = capsys.readouterr().out.split("\n\n")
    assert len(table.splitlines()) == 12
    assert "at load" in machine
    assert not list(tmp_path.iterdir())


def test_parts_take_turns_and_medians_are_compared() -> None:
    order: list[str] = []

    def part(name: str) -> float:
        order.append(name)
        return len(order)

    parts = measure_in_turns({"a": lambda: part("a"), "b": lambda: part("b")}, Effort(3, 1.0))
    assert order == list("ababab")
    row = make_row("a", "s", parts["a"], scale=1e3)
    rows = [row, make_ratio("a / b", parts, "a", "b", "<= 0.5")]
    assert "| a | 3,000 s |  |\n| a / b | 0.75 x | ≤ 0.5, **missed** |" in format_table(rows)


def test_every_recipe_is_an_experiment() -> None:
    named = set(recipes.RECIPES) - {recipes.DEFAULT}
    assert named <= set(help_page.read_page("train").groups["experiment"])


def test_words_of_samples(
    run_copy: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = tmp_path / "words.txt"
    reference.write_text("whatsoever\n", encoding="utf-8")
    run = str(run_copy("trainer.max_steps=2"))
    assert unknown_words.main([run, "--length", "30", "--reference", str(reference)]) == 0
    losses, new_words, copies, _ = capsys.readouterr().out.strip().split("\n\n")
    assert re.search(r"^\| corpus \| [\d,]+ \| 1 \|( [\d.-]+ \|){4} [01] \|$", losses, re.MULTILINE)
    assert [len(table.splitlines()) for table in (new_words, copies)] == [3, 3]
    sample = ["to be or notto thrift"]  # its last word may be cut off
    facts = unknown_words.measure_sample(
        sample, {"to", "be", "or", "not"}, TrainingText("be or not to be")
    )
    assert facts["new words"] == 0.25
    assert unknown_words.measure_copies(np.array([1, 2, 3, 1]), 2) == 0.75
