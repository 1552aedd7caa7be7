"""The writing page of `charrnn serve`, with a model in it or none, instead of a server."""

from __future__ import annotations

import hashlib
import json
from html import escape

from charrnn.extras.page.learning import list_learning_facts
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
    replace_once,
)
from charrnn.text.code import is_code
from charrnn.text.prompt import get_primer
from charrnn.text.training_text import get_corpus_name

# the ids of elements with a model, and with a text that the page learnt before it was saved
_MODEL_DATA = ("packed-model", "packed-counts", "packed-lines", "packed-learnt")


def make_writing_page(
    chosen: RoundedModel, title: str | None, licence: str, text: str | None = None
) -> str:
    """Return a page with the model and its counts, as HTML.

    Args:
        title: None: the name of the training text.
        licence: the line at the bottom of the page.
        text: the training text. The page leaves its lines out of new lists.
    """
    model_facts, counts = chosen.model.facts, chosen.model.counts
    title = title or get_corpus_name(model_facts) or "charrnn"
    about = {
        "title": title,
        "card": make_card(chosen),
        "licence": licence,
        "is_code": is_code(get_primer(model_facts)),
        "is_list": model_facts.get("is_list") is True,
    }
    facts = {"about": about}
    model = pack_model(chosen.model, chosen.bits, facts)
    # Pages from file:// may share one storage, so the key of a draft contains a hash of the model.
    name = hashlib.sha256(model.encode()).hexdigest()[:12]
    data = {"packed-model": model}
    if counts is not None:
        data["packed-counts"] = pack_counts(counts)
    if text is not None:
        data["packed-lines"] = pack_lines(text)
    return _make_page(title, name, data)


def make_learning_page() -> str:
    """Return a page without a model, which learns a text by counting, as HTML."""
    return _make_page("Write with your own text", "learn", {})


def _make_page(title: str, name: str, data: dict[str, str]) -> str:
    """Return a page that writes with the model in its data, or with texts that it learns.

    Args:
        name: the key under which the page stores its settings, and the drafts of its model.
        data: JSON by the id of its element.
    """
    html, card, style, learning_style = (
        (SITE / name).read_text(encoding="utf-8")
        for name in ("index.html", "learning-card.html", "style.css", "learning.css")
    )
    for old, new in (
        ('<html lang="en">', f'<html lang="en" data-keep="charrnn.{name}">'),
        ("<title>Write with charrnn</title>", f"<title>{escape(title)}</title>"),
        ('  <link rel="stylesheet" href="page/style.css">\n', ""),
        ('  <script type="module" src="page/main.js"></script>\n', ""),
        ("  <main>\n", f"  <main>\n{card}"),
    ):
        html = replace_once(html, old, new)
    return make_single_file(
        html,
        style=style + learning_style,
        script=join_modules(SITE / "main-network.js"),
        data={
            # The page fills empty elements when it saves itself with a text that it learnt.
            **dict.fromkeys(_MODEL_DATA, "null"),
            **data,
            "learning": json.dumps(list_learning_facts()),
        },
    )
