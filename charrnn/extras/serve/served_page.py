"""The page that the server sends, and its models: all that the server has of extras/page."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from charrnn.extras.page.content import make_content
from charrnn.extras.page.packing import make_card, pack_counts, pack_lines, pack_model
from charrnn.extras.page.writing_page import make_learning_page as make_page
from charrnn.runs.model_lookup import read_model

__all__ = ["make_page", "pack_file"]


def pack_file(file: Path) -> bytes:
    """Return a model as the page reads it."""
    return _pack_file(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _pack_file(file: Path, time: int) -> bytes:
    return make_content(_pack, read_model(file), None, "Made with charrnn")[0].encode()


def _pack(chosen: Any, title: str | None, licence: str, text: str | None) -> str:
    about = {"card": make_card(chosen), "licence": licence}
    counts = chosen.model.counts
    data = {
        "packed-model": pack_model(chosen.model, chosen.bits, {"about": about}),
        "packed-counts": "null" if counts is None else pack_counts(counts),
        "packed-lines": "null" if text is None else pack_lines(text),
    }
    return json.dumps(data)
