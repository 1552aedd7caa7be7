"""`make results`: the runner, with recipes of a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import recipes
from charrnn.cli import conf


def test_every_recipe_is_an_experiment() -> None:
    named = set(recipes.RECIPES) - {recipes.DEFAULT}
    assert named <= set(conf.page("train").groups["experiment"])


def test_the_table_has_means_and_how_far_seeds_are_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def result(carried: float) -> dict[str, object]:
        return {
            "machine": {"processor": "a machine"},
            "seconds": 61.0,
            "peak_bytes": 2**29,
            "parameters": 1234,
            "carried": carried,
            "cold": 1.5,
            "counts": {"carried": 1.35, "cold": 1.375},
            "samples": {"0.8": "To be"},
        }

    found = [
        recipes.Trained(recipes.DEFAULT, seed, result(loss)) for seed, loss in ((1, 1.4), (2, 1.5))
    ]
    row = recipes.table(found).splitlines()[-1]
    assert row == (
        "| the default, 2 seeds | 1,234 | 1:01 | 512 MB | 1.4500 ± 0.0500 | 1.5000 ± 0.0000 "
        "| 1.3500 ± 0.0000 / 1.3750 ± 0.0000 | a machine |"
    )
    page, readme = tmp_path / "results.md", tmp_path / "README.md"
    marks = "<!-- table: make results -->", "<!-- end of table -->"
    for path in (page, readme):
        path.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(recipes, "PAGE", page)
    monkeypatch.setattr(recipes, "README", readme)
    recipes.write(found)
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.count("```text\n---------- default\nTo be\n```") == 1
    last = readme.read_text(encoding="utf-8").splitlines()[-4]
    assert last == "| charrnn as it is | 0.00 million | 1:01 | 1.5000 | 1.3750 |"
