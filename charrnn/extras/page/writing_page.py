"""The writing page of `charrnn serve`, with a model in it instead of a server."""

from __future__ import annotations

import hashlib
from html import escape

from charrnn.extras.page.packing import (
    RoundedModel,
    make_card,
    pack_counts,
    pack_lines,
    pack_model,
)
from charrnn.extras.page.single_file import (
    SITE,
    join_modules,
    make_single_file,
    read_style,
    replace_once,
)
from charrnn.text.prompt import CURLY_QUOTES, KEYBOARD_MARKS, is_code
from charrnn.text.training_text import get_corpus_name


def make_writing_page(
    chosen: RoundedModel, title: str | None, licence: str, text: str | None = None
) -> str:
    """Return a page with the model and its counts, as HTML.

    Args:
        title: None: the name of the training text.
        licence: the line at the bottom of the page.
        text: the training text. The page marks lines that it contains in new lists.
    """
    model_facts, counts = chosen.model.facts, chosen.model.counts
    title = title or get_corpus_name(model_facts) or "charrnn"
    about = {
        "title": title,
        "card": make_card(chosen),
        "licence": licence,
        "is_code": is_code(model_facts),
        "is_list": model_facts.get("is_list") is True,
    }
    facts = {"about": about, "marks": KEYBOARD_MARKS, "curly": CURLY_QUOTES}
    model = pack_model(chosen.model, chosen.bits, facts)
    # Pages from file:// may share one storage, so the key of a draft contains a hash of the model.
    name = hashlib.sha256(model.encode()).hexdigest()[:12]
    html = (SITE / "index.html").read_text(encoding="utf-8")
    for old, new in (
        ('<html lang="en">', f'<html lang="en" data-keep="charrnn.{name}">'),
        ("<title>Write with charrnn</title>", f"<title>{escape(title)}</title>"),
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
