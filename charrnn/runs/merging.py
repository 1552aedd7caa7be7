"""What may change when a run goes on.

The recorded config is the truth; only what was asked for today changes it, and only where an
exact continuation can follow. An option that is new since the run was recorded is filled in
with its default, which is chosen so that it means what the older version did.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from charrnn.errors import InputError
from charrnn.runs.request import Config, Request

# asked for today, these say where to go on rather than how
ABOUT_THE_RESUME = ("resume",)
# how a run is told: of today's making wherever it was recorded
GROUPS = ("data", "model", "optimizer", "schedule", "trainer", "callbacks", "logger")
MISSING = object()


def merged(recorded: Config, request: Request, source: str) -> Config:
    """The recorded config with what was asked for today.

    Args:
        source: where it was recorded, for what is said of it.

    Raises:
        InputError: names an option that a resume cannot change, or what the run was made of and
            today's command does not know.
    """
    now = request.config
    result = copy.deepcopy(recorded)
    for name in now:
        if name not in result:
            result[name] = copy.deepcopy(now[name])
    for group in GROUPS:
        if not isinstance(result[group], dict):
            raise InputError(f"{source}: its {group} is no group of options")
        for name in now[group] if group in ("data", "model", "trainer") else ():
            result[group].setdefault(name, copy.deepcopy(now[group][name]))
    for key in request.given:
        if key not in ABOUT_THE_RESUME:
            _put(result, key, now)
    refuse_unnamed(result, request.targets, source)
    fixed = {*request.fixed, "optimizer._target_", "model._target_"}
    # what kind of thing it is says more than its sizes
    for key in sorted(fixed, key=lambda name: (not name.endswith(("kind", "_target_")), name)):
        before, after = found(recorded, key), found(result, key)
        if before is not MISSING and before != after:
            raise InputError(
                f"{key}={after}: a resume cannot change it (the run has {before}); "
                f"leave it out, or start anew, with init_from= for the weights"
            )
    _refuse_lost_rate(recorded, result, request.given)
    result["resume"] = None
    # it was asked for when the run was begun; a resume does without that file
    return {**request.check({**result, "init_from": None}), "init_from": result["init_from"]}


def _put(config: Config, key: str, now: Config) -> None:
    """Give an option, or a whole group, the value that it has today."""
    value = found(now, key)
    *parents, last = key.split(".")
    node: Any = config
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise InputError(f"{key}: the run has no such option to change")
    if value is MISSING:
        node.pop(last, None)
    else:
        before = node.get(last)
        node[last] = copy.deepcopy(value)
        if isinstance(value, dict) and isinstance(before, dict):
            # what a group leaves open was decided when the run was begun
            decided = {name: old for name, old in before.items() if value.get(name, 0) is None}
            node[last].update(decided)


def refuse_unnamed(config: Any, targets: frozenset[str], source: str, path: str = "") -> None:
    """Raise InputError if a recorded config would build what nothing names today."""
    if isinstance(config, list):
        for value in config:
            refuse_unnamed(value, targets, source, path)
    if not isinstance(config, dict):
        return
    target = config.get("_target_")
    if target is not None and target not in targets:
        group, _, _ = path.partition(".")
        raise InputError(
            f"{source}: its {path} is {target}, which neither conf/ nor this command names; give "
            f"{group}=NAME and --config-dir as when the run was begun, if you trust it"
        )
    for name, value in config.items():
        refuse_unnamed(value, targets, source, f"{path}.{name}" if path else str(name))


def _refuse_lost_rate(before: Config, after: Config, given: tuple[str, ...]) -> None:
    """Only our own schedules follow a new learning rate; others go on as they were saved."""
    target = str(found(after, "schedule._target_"))
    if target.startswith("charrnn."):
        return
    for key in given:
        changes = key.split(".")[0] in ("optimizer", "schedule")
        if changes and found(before, key) != found(after, key):
            raise InputError(
                f"{key}: a resume cannot change it under {target}, which goes on as it was saved; "
                f"leave it out, or start anew with init_from="
            )


def asks_for_more(before: Config, now: Config) -> bool:
    """Whether a finished run is to be longer now than it was."""
    names = ("trainer.max_epochs", "trainer.max_steps", "callbacks.early_stopping")
    return any(found(before, name) != found(now, name) for name in names)


def is_same_run(now: Config, recorded: Config) -> bool:
    """Whether a recorded config is what `now` would become.

    What is automatic or null in `now` was decided at the recorded run's start.
    """
    if now.get("distill_from") is None and recorded.get("distill_from") is not None:
        return False  # it is never chosen automatically
    for key, value in _leaves(now):
        if key in ABOUT_THE_RESUME or value is None or value == "auto":
            continue
        if found(recorded, key) != value:
            return False
    return True


def _leaves(config: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def found(config: Config, key: str) -> Any:
    """The value of a dotted key; MISSING where there is none."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return MISSING
        node = node[part]
    return node
