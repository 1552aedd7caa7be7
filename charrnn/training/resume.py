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
MISSING = object()


def merged(recorded: dict[str, Any], now: dict[str, Any], given: list[str]) -> dict[str, Any]:
    """The recorded config with the values that the command line gives now.

    Args:
        now: the config as composed from today's command line.
        given: keys of its overrides, dotted, groups included.

    Raises:
        InputError: names one that a resume cannot change; or `recorded` is not whole.
    """
    result = copy.deepcopy(recorded)
    for key, _ in _leaves(now):
        if key not in ABOUT_THE_RESUME and _found(recorded, key) is MISSING:
            raise InputError(
                f"the recorded config lacks {key}: the run was ended before it began, or this is "
                f"another version's; start it anew, with init_from= for its weights if it has any"
            )
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


def asks_for_more(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a finished run is to be longer now than it was."""
    names = ("trainer.max_epochs", "trainer.max_steps", "callbacks.patience")
    return any(_found(before, name) != _found(now, name) for name in names)


def is_same_run(now: dict[str, Any], recorded: dict[str, Any]) -> bool:
    """Whether a recorded config is what `now` would become.

    What is automatic or null in `now` was decided at the recorded run's start.
    """
    for key, value in _leaves(now):
        if key in ABOUT_THE_RESUME or value is None or value == "auto":
            continue
        if _found(recorded, key) != value:
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


def _found(config: dict[str, Any], key: str) -> Any:
    """The value of a key in a config that may lack it."""
    try:
        return _value(config, key)
    except (KeyError, TypeError):
        return MISSING


def _value(config: dict[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node[part]
    return node
