"""mkdocs hooks: add the pages at the top of the repository to the site, and fix their links."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

TOP = {
    "README.md": "first-steps.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}


def on_files(files: Files, config: Any) -> Files:
    for name, page in TOP.items():
        text = (Path(config.config_file_path).parent / name).read_text("utf-8")
        content = _rewrite_links(text, r"\]\(()", "](docs/")
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    markdown = _rewrite_links(markdown, r"\]\(\.\./()", "](../docs/")
    if repository := os.environ.get("GITHUB_REPOSITORY"):  # The notebook is not a page of the site.
        colab = f"https://colab.research.google.com/github/{repository}/blob/main/docs"
        markdown = markdown.replace("](tour.ipynb)", f"]({colab}/tour.ipynb)")
    return markdown


def _rewrite_links(text: str, opening: str, docs: str) -> str:
    """Rewrite links to pages at the top, and their links into docs/, for the site."""
    for name, page in TOP.items():
        text = re.sub(opening + re.escape(name), f"]({page}", text)
    return text.replace(docs, "](")
