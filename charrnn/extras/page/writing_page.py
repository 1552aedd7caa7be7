"""The writing page of `charrnn serve`, with a model in it instead of a server."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from html import escape

from charrnn.extras.page.packing import RoundedModel, pack_counts, pack_lines, pack_model
from charrnn.extras.page.single_file import (
    SITE,
    join_modules,
    make_single_file,
    read_style,
    replace_once,
)
from charrnn.text.prompt import CURLY_QUOTES, KEYBOARD_MARKS


@dataclass(frozen=True)
class About:
    """The description of a page, as plain text.

    Attributes:
        card: names and values that describe the model.
        is_code: whether the page shows texts in a monospaced font.
        is_list: whether the training text is a list.
    """

    title: str
    card: list[tuple[str, str]]
    licence: str
    is_code: bool = False
    is_list: bool = False


def make_writing_page(chosen: RoundedModel, about: About, text: str | None = None) -> str:
    """Return a page with the model and its counts, as HTML.

    Args:
        text: the training text. The page marks lines that it contains in new lists.
    """
    facts = {"about": asdict(about), "marks": KEYBOARD_MARKS, "curly": CURLY_QUOTES}
    model, counts = pack_model(chosen.model, chosen.bits, facts), chosen.model.counts
    # Pages from file:// may share one storage, so the key of a draft contains a hash of the model.
    name = hashlib.sha256(model.encode()).hexdigest()[:12]
    html = (SITE / "index.html").read_text(encoding="utf-8")
    for old, new in (
        ('<html lang="en">', f'<html lang="en" data-keep="charrnn.{name}">'),
        ("<title>Write with charrnn</title>", f"<title>{escape(about.title)}</title>"),
        ('  <link rel="stylesheet" href="page/shared.css">\n', ""),
        ('  <link rel="stylesheet" href="page/style.css">\n', ""),
        ('  <script type="module" src="page/main.js"></script>\n', ""),
    ):
        html = replace_once(html, old, new)
    return make_single_file(
        html,
        style=read_style(SITE),
        script=join_modules(SITE / "main-network.js"),
        data={
            "packed-model": model,
            "packed-counts": "null" if counts is None else pack_counts(counts),
            "packed-lines": "null" if text is None else pack_lines(text),
        },
    )
