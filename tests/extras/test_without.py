"""Each extra can be deleted: the rest works, and what the extra had is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras.without import EVERY, PROGRAM, copied, python

# a line that an extra adds to the help of a command, and one with an option of it
HELP = {
    "page": "  export  ",
    "inspect": "  inspect  ",
    "novelty": "novel=false",
    "search": "sweep=tpe",
    "serve": "  serve  ",
}
REFUSED = {
    "page": ("export output=x.html", "export: no such command"),
    "inspect": ("inspect", "inspect: no such command"),
    "novelty": ("sample novel=40", "novel=40: no such option"),
    "search": ("train -m sweep=tpe model.dropout=interval(0,0.5)", "sweep=tpe: no such "),
    "serve": ("serve", "serve: no such command"),
}


def use(tree: Path, place: Path) -> str:
    """Help, a training and a sample; what stands on standard output, help of sample too."""
    place.mkdir()
    (place / "my.txt").write_text("a text of one's own, again and again. " * 40)
    done = python(tree, place, "-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "a text" in done.stdout
    assert (place / "run" / "model.safetensors").is_file()
    return done.stdout


def test_the_core_needs_none(tmp_path: Path) -> None:
    tree = copied(tmp_path / "tree", EVERY)
    shown = use(tree, tmp_path / "place")
    assert not any(line in shown for line in HELP.values())
    assert "charrnn.extras." not in shown
    assert not (tmp_path / "place" / "run" / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("extra", EVERY)
def test_the_others_work_without_it(extra: str, tmp_path: Path) -> None:
    tree, place = copied(tmp_path / "tree", [extra]), tmp_path / "place"
    shown = use(tree, place)
    assert (place / "run" / "report.html").exists() == (extra != "report")
    helped = shown + python(tree, place, "-m", "charrnn", "sample", "--help").stdout
    for other, line in HELP.items():
        assert (line in helped) == (other != extra), other
    for other, (words, refusal) in REFUSED.items():
        if other == extra:
            refused = python(tree, place, "-m", "charrnn", *words.split())
            assert refused.returncode == 2
            assert refused.stderr.count("\n") == 1
            assert refusal in refused.stderr
    tests = python(
        tree, tree, "-m", "pytest", "-q", "-n", "0", "-x", "tests/cli", "tests/test_main.py"
    )
    assert tests.returncode == 0, tests.stdout[-3000:]
