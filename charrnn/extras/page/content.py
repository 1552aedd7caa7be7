"""Make the content of an exported file: a page, or an ES module, with a model in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from charrnn.errors import InputError
from charrnn.extras.page.packing import RoundedModel, choose_precision, require_page_support
from charrnn.models.trained import TrainedModel
from charrnn.options.datasets import SPLITS
from charrnn.text.training_text import find_training_text

MAX_PAGE_BYTES = 3_000_000  # a larger page or module has no counts


def make_content(
    make: Callable[[RoundedModel, str | None, str, str | None], str],
    model: TrainedModel,
    title: str | None,
    licence: str,
) -> tuple[str, RoundedModel]:
    """Return the content of a file, and the model in it, which may have lost its counts.

    Args:
        make: `make_writing_page` or `make_script_module`.
        title, licence: see there.
    """
    require_page_support(model)
    chosen, text = choose_precision(model), None
    with contextlib.suppress(InputError):  # Without the text, the page cannot mark copied lines.
        text = find_training_text(model.facts, model.encoding, splits=SPLITS).text
    content = make(chosen, title, licence, text)
    if chosen.model.counts is None or len(content) <= MAX_PAGE_BYTES:
        return content, chosen
    chosen = chosen._replace(model=replace(chosen.model, counts=None))
    return make(chosen, title, licence, text), chosen
