"""The report as one HTML file that holds all that it needs: the network, its data, the page.

Nothing is asked of any address. The page's policy lets nothing run but its own script, known by
its hash; texts reach it as JSON only, in which nothing can end the element that holds it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charrnn.data import Ids
from charrnn.export.modules import joined
from charrnn.export.packing import PRECISIONS, Precision, packed, rounded
from charrnn.inspection import distance, report
from charrnn.inspection.card import card
from charrnn.models.trained import TrainedModel

PAGE = Path(__file__).resolve().parents[1] / "page" / "inspect"
MOST_LOST = 0.002  # nats per character, by storing weights in fewer bits


def of(
    model: TrainedModel,
    passage: report.Passage,
    *,
    training_ids: Ids | None,
    name: str,
    run: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> bytes:
    """The page of a model and a passage.

    What is analysed is the model as the page has it, its weights rounded to few bits.

    Args:
        training_ids, progress: as `report.report` takes them.
        name: what to call the model.
        run: the curves and samples of its training, as `training.training` gives them.
    """
    precision = precision_for(model, passage.ids)
    seen = report.report(rounded(model, precision), passage, training_ids, progress=progress)
    seen |= {"name": name, "card": card(model), **run}
    script = joined(PAGE / "main.js")
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    template = (PAGE / "index.html").read_text(encoding="utf-8")
    contents = {
        "policy": _policy(script, style),
        "title": html.escape(name),
        "style": style,
        "model": _inline(packed(model, precision)),
        "report": _inline(json.dumps(seen, separators=(",", ":"))),
        "script": script,
    }
    # in one pass, so that nothing in a text is taken for a place of the template
    page = re.sub(r"\{\{ (\w+) \}\}", lambda match: contents[match[1]], template)
    return page.encode("utf-8")


def precision_for(model: TrainedModel, ids: Ids) -> Precision:
    """The fewest bits with which a model predicts a passage as well as before."""
    places = ids[distance.windows(len(ids))]
    exact = distance.network_losses(model, places).mean()
    for precision in PRECISIONS[:-1]:
        loss = distance.network_losses(rounded(model, precision), places).mean()
        if loss - exact <= MOST_LOST:
            return precision
    return PRECISIONS[-1]


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}' 'wasm-unsafe-eval'; "
        f"style-src '{_hash(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inline(json_text: str) -> str:
    """JSON in ASCII as an element may hold it: without the sign that begins an end tag."""
    return json_text.replace("<", "\\u003c")
