"""The counts of a data set, kept in one file beside it: who trains on it again need not count."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.counts import table as counting
from charrnn.counts.table import Counted, CountTable, Ids
from charrnn.errors import RunError
from charrnn.files import replacing

_ENTRY = "counted"


def key_of(ids: Ids, held_out: Ids, vocabulary_size: int, most: int) -> str:
    """A hash of all that `best_context` goes by: what it takes, and how it counts."""
    discounts = counting.DISCOUNTS, counting.DISCOUNTS_BELOW_TOP, counting.DISCOUNTS_TOP
    how = vocabulary_size, most, counting.MAX_NODES, counting.TRIED, discounts, len(ids)
    digest = hashlib.sha256(json.dumps(how).encode())
    for each in (ids, held_out):
        digest.update(np.ascontiguousarray(each, "<u4").data)
    return digest.hexdigest()


def read(path: Path, key: str, vocabulary_size: int) -> Counted | None:
    """What was counted under a key; None where the file has something else, or nothing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            facts: dict[str, Any] = json.loads((file.metadata() or {})[_ENTRY])
            if facts["key"] != key:
                return None
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        table = CountTable.from_arrays(vocabulary_size, facts["context"], arrays)
        return Counted(table, float(facts["loss"]), bool(facts["is_cut"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def write(path: Path, key: str, counted: Counted) -> None:
    """Keep what was counted, in place of what the file had; a folder may refuse it."""
    from safetensors.numpy import save

    table, loss, is_cut = counted
    facts = {"key": key, "context": table.context, "loss": loss, "is_cut": is_cut}
    with contextlib.suppress(RunError), replacing(path) as temporary:
        temporary.write_bytes(save(table.arrays(), {_ENTRY: json.dumps(facts)}))
