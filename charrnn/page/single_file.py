"""One HTML file that needs nothing else, and to which nothing but itself can happen.

Its style and its script stand in it, each allowed by its hash: a Content-Security-Policy forbids
every other script, every style and every address. What it shows of a model or of a text is data:
JSON in which no `<` is left, so that nothing in it ends the element in which it stands.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parent

_HEAD, _END = '<meta charset="utf-8">', "</body>"


def style_of(folder: Path) -> str:
    """The CSS of the page in a folder: what all pages have, and its own."""
    files = (PAGE / "palette.css", folder / "style.css")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def single_file(html: str, *, style: str, script: str, data: Mapping[str, str]) -> str:
    """A page in one file.

    Args:
        html: with neither style nor script of its own.
        style: CSS.
        script: JavaScript, run once all elements are there; it may compile WebAssembly.
        data: JSON in ASCII by the id of the element whose text it becomes.
    """
    script = f'"use strict";\n{script}'
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)} 'wasm-unsafe-eval'",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="referrer" content="no-referrer">\n<style>{style}</style>'
    )
    end = "\n".join(
        f'<script type="application/json" id="{name}">{as_data(json)}</script>'
        for name, json in data.items()
    )
    html = replaced(html, _HEAD, f"{_HEAD}\n{head}")
    return replaced(html, _END, f"{end}\n<script>{_whole(script)}</script>\n{_END}")


def as_data(json: str) -> str:
    """JSON as the text of an element: in strings, and nowhere else, it may have a `<`."""
    return json.replace("<", r"\u003c")


def replaced(html: str, old: str, new: str) -> str:
    """HTML with something in it, which stands there once, replaced.

    Raises:
        ValueError: it does not.
    """
    if html.count(old) != 1:
        raise ValueError(f"the page has {old!r} {html.count(old)} times, not once")
    return html.replace(old, new)


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _whole(script: str) -> str:
    """The script, in which nothing ends its element.

    Raises:
        ValueError: something does.
    """
    for ending in ("</script", "<!--"):
        if ending in script.lower():
            raise ValueError(f"the script has {ending!r} in it, which would end it")
    return script
