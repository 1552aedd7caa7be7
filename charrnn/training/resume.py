"""What may change when a run goes on, and which run to go on with.

The recorded config is the truth; only what the command line gives now changes it, and
only where an exact continuation can follow.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charrnn.errors import InputError

# a change of one of these would make the checkpoint's tensors, streams or numbers another run's
FIXED = (
    "seed",
    "init_from",
    "model.kind",
    "model.embedding_size",
    "model.hidden_size",
    "model.num_layers",
    "model.batchnorm",
    "data.corpus",
    "data.val_frac",
    "data.test_frac",
    "data.encoding",
    "data.batch_size",
    "data.seq_length",
    "optimizer.name",
)
# given on the command line, these say where to go on rather than how
ABOUT_THE_RESUME = ("resume", "experiment")


def merged(recorded: dict[str, Any], now: dict[str, Any], given: list[str]) -> dict[str, Any]:
    """The recorded config with the values that the command line gives now.

    Args:
        now: the config as composed from today's command line.
        given: keys of its overrides, dotted, groups included.

    Raises:
        InputError: names one that a resume cannot change.
    """
    result = copy.deepcopy(recorded)
    for key in given:
        if key in ABOUT_THE_RESUME:
            continue
        node = result
        *parents, last = key.split(".")
        for parent in parents:
            node = node[parent]
        node[last] = copy.deepcopy(_value(now, key))
    for key in FIXED:
        before, after = _value(recorded, key), _value(result, key)
        if before != after:
            raise InputError(
                f"{key}={after}: a resume cannot change it (the run has {before}); "
                f"leave it out, or start anew, with init_from= for the weights"
            )
    result["resume"] = None
    return result


def is_same_run(now: dict[str, Any], recorded: dict[str, Any]) -> bool:
    """Whether a recorded config is what `now` would become.

    What is automatic or null in `now` was decided at the recorded run's start.
    """
    for key, value in _leaves(now):
        if key in ABOUT_THE_RESUME or value is None or value == "auto":
            continue
        try:
            if _value(recorded, key) != value:
                return False
        except (KeyError, TypeError):
            return False
    return True


def run_folders(parent: Path) -> Iterator[Path]:
    """The run folders below `parent` (DATE/TIME), newest first."""
    found = [p.parent.parent for p in parent.glob("*/*/.hydra/config.yaml")]
    yield from sorted(found, key=lambda folder: (folder.parent.name, folder.name), reverse=True)


def _leaves(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _value(config: dict[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node[part]
    return node
