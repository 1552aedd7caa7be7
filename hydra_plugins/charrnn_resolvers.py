"""Resolvers of conf/, which Hydra finds here also for a script that only uses hydra.main.

Hydra imports every plugin at each start, so this file imports nothing slow.
"""

from __future__ import annotations

import re
from typing import Any

from omegaconf import OmegaConf


def format_job_folder(number: int, overrides: str) -> str:
    """Return the name of a job's folder: the job's number, and its swept overrides, truncated.

    A text has its file's name only.
    """
    overrides = re.sub(r"\bdata\.input_txt='(?:[^',]*/)?", "", overrides)
    # A search draws numbers of many digits.
    shorter = re.sub(r"\d+\.\d{5,}(e[-+]?\d+)?", lambda n: f"{float(n[0]):.4g}", overrides)
    unquoted = re.sub(r"[\\'\"\[\]{}]", "", shorter)
    suffix = re.sub(r"[^A-Za-z0-9._=+,-]+", "-", unquoted)
    # Many file systems limit a name to 255 bytes.
    return f"{number}_{suffix[:120]}" if suffix else str(number)


def multiply(steps: Any, windows: Any) -> int | None:
    """Return the windows of a number of steps; None for 0, while it is open, and for no number."""
    return steps * windows or None if isinstance(steps, int) and isinstance(windows, int) else None


OmegaConf.register_new_resolver("charrnn.job_folder", format_job_folder, replace=True)
OmegaConf.register_new_resolver("charrnn.multiply", multiply, replace=True)
