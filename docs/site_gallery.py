"""mkdocs hooks: put the live pages on the site that `docs/gallery_pages.py` made, if it did.

The picture of each entry of the gallery becomes a link to its page, and the home page has a list.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

GALLERY = Path(__file__).with_name("gallery.md")
RECORD = Path(__file__).parents[1] / "build" / "gallery" / "pages.json"
ON_THE_HOME_PAGE = ("plays.html", "code.html", "names.html")
HOME = """## Write with a model

You can write with these three models here, in your browser. Your text does not leave it.

{links}

They were trained on {machine}. [The gallery](gallery.md) has more models, with their samples and
commands.
"""
# an entry of the gallery: its heading, its first sentence and its page; its page and its picture
ENTRY = re.compile(r"^## ([^\n]*)\n\n(.*?\.)\s.*?output=(\w+\.html)", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"(output=(\w+\.html)\n.*?)^(!\[[^\n]*\))$", re.DOTALL | re.MULTILINE)
# A line of a sample may be a paragraph.
WRAP = "\n\n<style>.md-typeset pre > code { white-space: pre-wrap }</style>\n"


def read_record() -> dict[str, Any]:
    """Return the machine, and how long it trained the model of each page."""
    nothing = {"machine": "", "times": {}}
    return json.loads(RECORD.read_text("utf-8")) if RECORD.is_file() else nothing


def on_files(files: Files, config: Any) -> Files:
    for name in read_record()["times"]:
        path = str(RECORD.with_name(name))
        files.append(File.generated(config, f"gallery/{name}", abs_src_path=path))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    if page.file.src_uri == "gallery.md":
        return link_pictures(markdown, **read_record()) + WRAP
    return markdown.replace("<!-- live pages -->", format_links(**read_record()))


def format_links(machine: str, times: dict[str, str], **_: Any) -> str:
    """Return the section of the home page; "" without pages."""
    links = [
        f"- [**{heading}**](gallery/{name}): {sentence} Trained in {times[name]} minutes."
        for heading, sentence, name in ENTRY.findall(GALLERY.read_text("utf-8"))
        if name in ON_THE_HOME_PAGE and name in times
    ]
    return HOME.format(links="\n".join(links), machine=machine) if links else ""


def link_pictures(markdown: str, machine: str, times: dict[str, str], **_: Any) -> str:
    """Make the picture of each entry a link to its page, and say how the model was trained."""

    def add_link(match: re.Match[str]) -> str:
        before, name, picture = match.groups()
        if name not in times:
            return match[0]
        link = f"[**Write with this model**](gallery/{name}) in your browser."
        trained = f"It was trained in {times[name]} minutes on {machine}."
        return f"{before}[{picture}](gallery/{name})\n\n{link} {trained}"

    return PICTURE.sub(add_link, markdown)
