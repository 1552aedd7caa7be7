"""mkdocs hooks: add the pages that docs/ lacks, and make each link lead to a page of the site."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from charrnn.extras.page.writing_page import make_learning_page

# files of the repository that are pages of the site
PAGES = {
    "README.md": "first-steps.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "docs/README.md": "pages.md",
    "docs/tour.ipynb": "tour.md",
}
LEARNING_PAGE = "learn.html"
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def on_config(config: Any) -> Any:
    """Set the site's address if the repository has one."""
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        owner, name = repository.split("/")
        config.site_url = f"https://{owner.lower()}.github.io/{name}/"
    return config


def on_files(files: Files, config: Any) -> Files:
    repository = Path(config.config_file_path).parent
    for name, page in PAGES.items():
        if name.endswith(".md"):
            text = (repository / name).read_text("utf-8")
            content = adapt_links(text, posixpath.dirname(name))
            files.append(File.generated(config, page, content=content))
    home = format_home((repository / "README.md").read_text("utf-8"))
    files.append(File.generated(config, "index.md", content=adapt_links(home, "")))
    files.append(File.generated(config, LEARNING_PAGE, content=make_learning_page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return markdown if page.file.generated_by else adapt_links(markdown, "docs")


def adapt_links(text: str, folder: str) -> str:
    """Make the links of a file in this folder of the repository links of the site."""

    def adapt(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        return "](" + PAGES.get(path, path.removeprefix("docs/"))

    return LINK.sub(adapt, text)


def format_home(readme: str) -> str:
    """Return the home page: README's first screen, the live pages, and the two commands."""
    first_screen, commands = readme.split("\n## ")[:2]
    first_screen = first_screen.replace("](#in-a-browser)", f"]({LEARNING_PAGE})")
    first_screen = first_screen.replace("](#", "](README.md#")  # its sections are not on this page
    commands = "".join(commands.partition("make test\n```\n")[:2])
    return f"""{first_screen}
## Try it with your own text

[**Write with your own text**]({LEARNING_PAGE}): give this page a text of 400 characters or more,
and it writes more like it, in your browser. Your text does not leave it.

<!-- live pages -->

## {commands}
[First steps](first-steps.md) explains them. [The pages](pages.md) lists everything else.
"""
