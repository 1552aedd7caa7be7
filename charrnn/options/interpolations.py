"""Texts in a config, in which OmegaConf resolves interpolations: ${...}."""

from __future__ import annotations

import re
from typing import Any

MISSING_TEXT = "${oc.decode:\"'???'\"}"  # the text "???", in OmegaConf's syntax


def escape_interpolations(value: Any, times: int = 1) -> Any:
    """Escape plain values so that OmegaConf, which resolves them `times` times, returns them."""
    if isinstance(value, dict):
        return {name: escape_interpolations(item, times) for name, item in value.items()}
    if isinstance(value, list):
        return [escape_interpolations(item, times) for item in value]
    if value == "???":  # OmegaConf's mark of a missing value, which has no escape
        return MISSING_TEXT
    if isinstance(value, str):
        for _ in range(times):
            value = re.sub(r"(\\*)\$\{", lambda run: run[1] * 2 + r"\${", value)
    return value


def has_interpolation(value: Any) -> bool:
    """Return whether a value is a text in which OmegaConf resolves ``${...}``."""
    is_text = isinstance(value, str) and value != MISSING_TEXT
    # after an even number of backslashes, which escape it
    return is_text and re.search(r"(?<!\\)(?:\\\\)*\$\{", value) is not None


def unescape_interpolations(text: str) -> str:
    """Return the text that OmegaConf reads in a record, in which no interpolation is left."""
    return re.sub(r"(\\+)\$\{", lambda run: run[1][: len(run[1]) // 2] + "${", text)
