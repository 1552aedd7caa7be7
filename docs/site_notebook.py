"""mkdocs hook: make a page of the notebook docs/tour.ipynb, with the outputs that it keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from site_hooks import adapt_links

NOTEBOOK = Path(__file__).with_name("tour.ipynb")


def on_files(files: Files, config: Any) -> Files:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    heading, *blocks = [block for cell in cells for block in format_cell(cell)]
    text = adapt_links("\n\n".join([heading, format_links(), *blocks]), "docs")
    files.append(File.generated(config, "tour.md", content=text))
    return files


def format_links() -> str:
    """Return links to the file and, if the repository has an address, to the notebook in Colab."""
    links = '<a href="tour.ipynb" download>Download this notebook</a>'
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        colab = f"https://colab.research.google.com/github/{repository}/blob/main/docs/tour.ipynb"
        links += f", or [open it in Colab]({colab})"
    return f"{links}."


def format_cell(cell: dict[str, Any]) -> Iterator[str]:
    """Yield the source of a cell and its outputs as Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            yield f"```text\n{''.join(output['text']).rstrip()}\n```"
        else:
            picture = "".join(output["data"]["image/png"]).strip()
            yield f"![The figure that this cell draws](data:image/png;base64,{picture})"
