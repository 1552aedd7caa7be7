"""The page of `charrnn inspect`: a report on a model, and the network itself."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charrnn.extras.page.packing import RoundedModel, make_card, pack_model
from charrnn.extras.page.single_file import join_modules, make_single_file, read_style, replace_once
from charrnn.text.training_text import get_corpus_name

SITE = Path(__file__).parent / "site"


def make_page(chosen: RoundedModel, report: Mapping[str, Any]) -> str:
    """Return the page of a model and the result of `make_report` as HTML."""
    title = f"Inside {get_corpus_name(chosen.model.facts) or 'a model'}"
    template = (SITE / "index.html").read_text(encoding="utf-8")
    for tag in ("title", "h1"):
        element = f"<{tag}>{html.escape(title)}</{tag}>"
        template = replace_once(template, f"<{tag}></{tag}>", element)
    return make_single_file(
        template,
        style=read_style(SITE),
        script=join_modules(SITE / "main.js"),
        data={
            "packed-model": pack_model(chosen.model, chosen.bits),
            "report": json.dumps({**report, "card": make_card(chosen)}, separators=(",", ":")),
        },
    )
