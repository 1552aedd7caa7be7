"""The pages of the project name what there is, and the cells of the notebook run."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn import plugins
from charrnn.__main__ import main
from tests import REPOSITORY
from tests.conftest import Capture, Patch

PAGES = [
    path
    for folder in (".", ".github", "benchmarks", "docs", "tests")
    for path in sorted((REPOSITORY / folder).glob("*.md" if folder == "." else "**/*.md"))
]
_FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:src|href)="([^"]+)\"""")


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """List the links of a page to files of the project."""
    found = (match[1] or match[2] for match in _LINK.finditer(prose(page)))
    return [link for link in found if not re.match("[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


# placeholders for names, and arguments of Python
NO_OPTIONS = {"name", "group", "weights_only", "ckpt_path", "limit_val_batches"}


def list_dotted_names(config: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in config.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from list_dotted_names(value, f"{prefix}{name}.")


def test_every_option_that_is_named_exists(capfd: Capture) -> None:
    known = {*NO_OPTIONS}
    groups = {path.parent for path in plugins.CONF.glob("*/**/*.yaml")}
    known |= {group.relative_to(plugins.CONF).as_posix() for group in groups}
    for command in plugins.list_commands():
        assert main([command, "--cfg", "job"]) == 0
        known |= {*list_dotted_names(yaml.safe_load(capfd.readouterr().out))}
    for page in (REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "docs")):
        for path in page.glob("*.md") if page.is_dir() else [page]:
            named = re.findall(r"`([^`\n]+)`", path.read_text("utf-8"))
            words = {word for code in named for word in re.findall(r"(?:^|\s)([a-z_./]+)=", code)}
            unknown = {w for w in words if not w.startswith(("hydra", "models."))} - known
            assert unknown == set(), path.name


# The notebook docs/tour.ipynb

TOUR = REPOSITORY / "docs" / "tour.ipynb"
# what makes it short
SHORTER = {
    "range(800)": "range(200)",
    "trainer.max_steps=300": "trainer.max_steps=20",
    "validate_every=50": "validate_every=10",
    "[-10000:]": "[-2000:]",
    "max_steps=200": "max_steps=3",
}


def test_the_cells_run(tmp_path: Path, monkeypatch: Patch) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    cells = json.loads(TOUR.read_text("utf-8"))["cells"]
    install, *sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    assert install.count("%pip install") == 2  # in Colab, and elsewhere
    for printed, shorter in SHORTER.items():
        assert sum(source.count(printed) for source in sources) == 1, printed
        sources = [source.replace(printed, shorter) for source in sources]
    names: dict[str, Any] = {"__name__": "tour", "main": main, "sys": sys}
    for number, source in enumerate(sources):
        command = re.compile(r"^!\{sys.executable\} -m charrnn (.*)", re.MULTILINE)
        source = command.sub(r"assert main('\1'.split()) == 0", source)
        exec(compile(source, f"cell {number}", "exec"), names)
    assert math.isfinite(names["result"].loss)
    assert "window.charrnn" in Path("tales.html").read_text("utf-8")
    assert sorted(names["reached"]) == ["Focal", "LanguageModel"]
    # a sample is as tales are, by the counts
    assert "said: " in names["model"].generate(200, "Once ", seed=1)
