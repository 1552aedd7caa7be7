"""The page that writes: with a model in it, with those of a server, or with a text that it learns.

The script runs the engine (`site/worker.js`) in a worker, whose script is data of the page. The
engine is also a module for pages of others.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

from charrnn.extras.page.packing import list_learning_facts
from charrnn.extras.page.single_file import SITE, join_modules, make_single_file, replace_once


def make_writing_page(packed: bytes, title: str) -> str:
    """Return a page with a packed model, as HTML."""
    # Pages from file:// may share one storage, so the key of a draft contains a hash of the model.
    return _make_page(title, hashlib.sha256(packed).hexdigest()[:12], packed)


def make_learning_page() -> str:
    """Return a page without a model, which learns a text by counting, as HTML."""
    return _make_page("Write with your own text", "learn", None)


def make_served_page() -> str:
    """Return a page for a server, whose models it fetches, as HTML."""
    return _make_page("charrnn", "served", None, is_served=True)


def make_script_module(packed: bytes, title: str | None, licence: str) -> str:
    """Return an ES module whose default export is the model and its counts.

    Args:
        title, licence: for the comment in the first line.
    """
    comment = " ".join(f"{title or 'A model of charrnn'}. {licence}".split())  # on one line
    script = join_modules(SITE / "network" / "model.js")
    opened = f'await module_model.openInterface("{base64.b64encode(packed).decode()}")'
    return f"// {comment}\n{script}\nexport default {opened};\n"


def _make_page(title: str, name: str, packed: bytes | None, is_served: bool = False) -> str:
    """Return a page.

    Args:
        name: the key under which the page stores its settings, and the drafts of its model.
        packed: the model in it.
        is_served: whether it may connect to its server.
    """
    html, style = ((SITE / name).read_text("utf-8") for name in ("index.html", "style.css"))
    served = " data-served" if is_served else ""
    html = replace_once(html, '<html lang="en">', f'<html lang="en" data-keep="{name}"{served}>')
    html = replace_once(html, "<title>charrnn</title>", f"<title>{escape(title)}</title>")
    model = None if packed is None else base64.b64encode(packed).decode()
    return make_single_file(
        html,
        style=style,
        script=join_modules(SITE / "main.js"),
        # The page fills the first when it saves itself with a text that it learnt.
        data={
            "packed": model,
            "learning": list_learning_facts(),
            "engine": join_modules(SITE / "worker.js"),
        },
        is_served=is_served,
    )
