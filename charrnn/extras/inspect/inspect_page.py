"""The report as one HTML file that holds all that it needs: the network, its data, the page."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from charrnn.page.model_card import card, corpus_name
from charrnn.page.packing import Chosen, packed
from charrnn.page.single_file import PAGE, joined, replaced, single_file, style_of

FOLDER = PAGE / "inspect"


def page(chosen: Chosen, seen: Mapping[str, Any]) -> str:
    """The page of a model as HTML.

    Args:
        seen: what `report.report` says of the model, and what `training.training` does.
    """
    title = f"Inside {corpus_name(chosen.model) or 'a model'}"
    template = (FOLDER / "index.html").read_text(encoding="utf-8")
    for tag in ("title", "h1"):
        template = replaced(template, f"<{tag}></{tag}>", f"<{tag}>{html.escape(title)}</{tag}>")
    report = {**seen, "card": card(chosen)}
    return single_file(
        template,
        style=style_of(FOLDER),
        script=joined(FOLDER / "main.js"),
        data={
            "packed-model": packed(chosen.model, chosen.precision),
            "report": json.dumps(report, separators=(",", ":")),
        },
    )
