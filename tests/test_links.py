"""The links of every Markdown page lead somewhere, and docs/README.md lists every page of docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import REPOSITORY

PAGES = [
    path
    for folder in (".", ".github", "benchmarks", "docs", "tests")
    for path in sorted((REPOSITORY / folder).glob("*.md" if folder == "." else "**/*.md"))
]
OURS = ("benchmarks/", "charrnn/", "conf/", "docs/", "tests/")
_FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:src|href)="([^"]+)\"""")
_ADDRESS = re.compile(r"[a-z]+:")


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """List the links of a page to files of the project."""
    found = (match[1] or match[2] for match in _LINK.finditer(prose(page)))
    return [link for link in found if not _ADDRESS.match(link)]


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


def test_every_file_that_is_named_exists() -> None:
    missing = []
    for page in PAGES:
        # those of the project, in CONTRIBUTING.md without "charrnn/"; NAME is any name
        for name in re.findall(r"`([a-z]\w*/[\w./]*\w\.(?:py|js|yaml|yml|md))`", prose(page)):
            ours = name.startswith(OURS) or page.name == "CONTRIBUTING.md"
            found = [(REPOSITORY / base / name).exists() for base in ("", "charrnn")]
            if ours and "NAME" not in name and not any(found):
                missing.append(f"{page.name}: {name}")
    assert missing == []


def test_the_table_of_contents_lists_every_page() -> None:
    contents = REPOSITORY / "docs" / "README.md"
    pages = {path.name for path in contents.parent.iterdir() if path.suffix in (".md", ".ipynb")}
    listed = [link for link in links(contents) if "/" not in link]
    assert sorted(listed) == sorted(pages - {"README.md"})
