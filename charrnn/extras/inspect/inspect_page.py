"""The page of `charrnn inspect`: what was seen of a model, and the network itself."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charrnn.extras.page.packing import Chosen, card, packed
from charrnn.extras.page.single_file import joined, replaced, single_file, style_of
from charrnn.text.training_text import corpus_name

SITE = Path(__file__).parent / "site"


def page(chosen: Chosen, seen: Mapping[str, Any]) -> str:
    """The page of a model as HTML.

    Args:
        seen: what `report` says of the model.
    """
    title = f"Inside {corpus_name(chosen.model.facts) or 'a model'}"
    template = (SITE / "index.html").read_text(encoding="utf-8")
    for tag in ("title", "h1"):
        template = replaced(template, f"<{tag}></{tag}>", f"<{tag}>{html.escape(title)}</{tag}>")
    report = {**seen, "card": card(chosen)}
    return single_file(
        template,
        style=style_of(SITE),
        script=joined(SITE / "main.js"),
        data={
            "packed-model": packed(chosen.model, chosen.bits),
            "report": json.dumps(report, separators=(",", ":")),
        },
    )
