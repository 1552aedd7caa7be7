"""A hatchling hook: add the project's URLs, and a README whose links work on the package index.

The README also gets a link to the site, where one can write with a model.

Only the release workflow knows the repository (GITHUB_REPOSITORY). A package that is built by hand
has no URLs, and an unchanged README.md.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"(!\[[^\]]*\])\((?!https?:)([^)]+)\)")
NOTEBOOK = re.compile(r"(\[[^\]]*\])\((?!https?:)([^)]+\.ipynb)\)")
LINK = re.compile(r"(?<!!)(\[[^\]]*\])\((?!https?:|#)([^)]+)\)")


class Metadata(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text("utf-8")
        if repository := os.environ.get("GITHUB_REPOSITORY"):
            server = f"https://github.com/{repository}"
            owner, name = repository.split("/")
            site = f"https://{owner.lower()}.github.io/{name}/"
            try_it = f"[Try it]({site}) before you install anything."
            text = PICTURE.sub(rf"\g<0>\n\n{try_it}", text, count=1)
            text = text.replace("](#in-a-browser)", f"]({site}learn.html)")
            tag = os.environ.get("GITHUB_REF_NAME", "main")
            text = PICTURE.sub(rf"\1({server}/raw/{tag}/\2)", text)
            colab = f"https://colab.research.google.com/github/{repository}/blob/{tag}"
            text = NOTEBOOK.sub(rf"\1({colab}/\2)", text)
            text = LINK.sub(rf"\1({server}/blob/{tag}/\2)", text)
            metadata["urls"] = {
                "Source": server,
                "Documentation": site,
                "Changelog": f"{server}/blob/{tag}/CHANGELOG.md",
                "Issues": f"{server}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
