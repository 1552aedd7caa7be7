"""A model as one ES module, for web pages and sketches."""

from __future__ import annotations

import json

from charrnn.extras.page.packing import RoundedModel, pack_counts, pack_model
from charrnn.extras.page.single_file import SITE, join_modules


def make_script_module(
    chosen: RoundedModel, title: str | None, licence: str, text: str | None = None
) -> str:
    """Return JavaScript whose default export is the model and its counts.

    Args:
        title, licence: for the comment in the first line.
        text: the training text, of which the module contains nothing.
    """
    counts = chosen.model.counts
    packed = (
        pack_model(chosen.model, chosen.bits),
        "null" if counts is None else pack_counts(counts),
    )
    comment = " ".join(f"{title or 'A model of charrnn'}. {licence}".split())  # on one line
    arguments = ", ".join(map(json.dumps, packed))
    script = join_modules(SITE / "main-module.js")
    return (
        f"// {comment}\n{script}\nexport default await module_main_module.openModel({arguments});\n"
    )
