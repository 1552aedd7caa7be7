"""For mkdocs: the pages at the top of the repository are pages of the site, and links find them."""

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
        files.append(File.generated(config, page, content=_led(text, r"\]\(()", "](docs/")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    markdown = _led(markdown, r"\]\(\.\./()", "](../docs/")
    if repository := os.environ.get("GITHUB_REPOSITORY"):  # the notebook is no page of the site
        colab = f"https://colab.research.google.com/github/{repository}/blob/main/docs"
        markdown = markdown.replace("](tour.ipynb)", f"]({colab}/tour.ipynb)")
    return markdown


def _led(text: str, opening: str, below: str) -> str:
    """Links to the pages at the top, and from there to docs/, as the site has them."""
    for name, page in TOP.items():
        text = re.sub(opening + re.escape(name), f"]({page}", text)
    return text.replace(below, "](")
