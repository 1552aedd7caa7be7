"""What a run goes on with: the command line, else its record, else today's defaults.

Which nodes there are is the record's; what each of them is comes from what is composed today,
with the recorded choices. A recorded value is taken where it is a plain value for an option of
that, or for an argument of what is built. Everything else is refused by its name, with the words
that ask for it, which `words_again` also adds to the line that a stopped run prints.
"""

from __future__ import annotations

import copy
import inspect
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.utils import get_object

from charrnn.cli.building import SUPPLIED
from charrnn.cli.conf import WITHOUT_A_NODE
from charrnn.cli.literal import as_typed, override_of
from charrnn.cli.sources import key_of
from charrnn.cli.targets import TARGETS
from charrnn.errors import InputError, shown
from charrnn.runs.older import inferred_choices, upgraded
from charrnn.runs.record import MISSING, Choice, Record, found
from charrnn.runs.request import Config, Request
from charrnn.text.corpora import cached_text

# asked for today, these say where to go on rather than how
ABOUT_THE_RESUME = ("resume",)
SINGLE = ("data", "model", "optimizer", "schedule", "trainer")
SEVERAL = ("callbacks", "logger")
# whose options are all there in every record: what is missing there is new since
WHOLE = ("data", "model", "trainer")

# loggers that write into the run's folder only; another one is built if today's line asks for it
_LOCAL_LOGGERS = (
    "charrnn.training.MetricsCSV",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
)
# arguments of lightning.Trainer that decide how it is trained, beside those in conf/
_OF_THE_TRAINER = frozenset(
    {"accumulate_grad_batches", "benchmark", "detect_anomaly", "deterministic", "fast_dev_run",
     "inference_mode", "limit_predict_batches", "limit_test_batches", "limit_train_batches",
     "limit_val_batches", "max_time", "min_epochs", "min_steps", "overfit_batches",
     "sync_batchnorm", "enable_model_summary"}
)  # fmt: skip
# where a run writes to, or whom it asks
_ADDRESSES = ("data.url", "logger.mlflow.tracking_uri")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def merged(record: Record, request: Request) -> Config:
    """The recorded config with what was asked for today.

    Raises:
        InputError: names an option that a resume cannot change, or what is not taken from a
            record, with the words that ask for it.
    """
    now, recorded = request.config, upgraded(record.config, record.source)
    chosen = {**inferred_choices(recorded), **record.choices}
    # a choice that is given again says what is built, and changes no value
    same = {group for group in chosen if request.choices.get(group) == chosen[group]}
    given = [key for key in request.given if key not in same and key not in ABOUT_THE_RESUME]
    laying = _Laying(record, request, set(given))
    result = copy.deepcopy(now)
    for name, value in recorded.items():
        if name not in now:
            raise InputError(f"{record.source}: {shown(name)} is no option of charrnn train")
        if name in SINGLE or name in SEVERAL:
            if not isinstance(value, dict):
                raise InputError(f"{record.source}: its {name} is no group of options")
            result[name] = laying.group(name, value)
        elif _is_plain(value):
            result[name] = value
        else:
            laying.refuse(name, value)
    laying.require_all()
    for key in given:
        _put(result, key, now)
    for key in sorted({*request.fixed, "optimizer._target_", "model._target_"}, key=_kinds_first):
        before, after = found(recorded, key), found(result, key)
        if before is not MISSING and before != after:
            raise InputError(
                f"{key}={after}: a resume cannot change it (the run has {before}); "
                f"leave it out, or start anew, with init_from= for the weights"
            )
    _refuse_lost_rate(recorded, result, given)
    result["resume"] = None
    # it was asked for when the run was begun; a resume does without that file
    return {**request.check({**result, "init_from": None}), "init_from": result["init_from"]}


def _kinds_first(name: str) -> tuple[bool, str]:
    """What kind of thing it is says more than its sizes."""
    return not name.endswith(("kind", "_target_")), name


@dataclass
class _Laying:
    """Lays recorded nodes over what is composed today.

    Attributes:
        given: the keys that today's command line sets; a group that it chooses is its own.
        lacking: what is not taken from a record -> the word that asks for it.
    """

    record: Record
    request: Request
    given: set[str]
    lacking: dict[str, str] = field(default_factory=dict)
    _recipes: Config | None = field(default=None, init=False)

    def group(self, name: str, recorded: dict[str, Any]) -> Any:
        today = self.request.config[name]
        if name in self.given:
            if name in SEVERAL:
                return copy.deepcopy(today)
            # what a choice leaves open was decided when the run was begun
            decided = {
                key: value
                for key, value in recorded.items()
                if today.get(key, 0) is None and _is_plain(value) and _takes(name, today, key)
            }
            return {**copy.deepcopy(today), **decided}
        if name in SEVERAL:
            return {
                key: self.node(f"{name}.{key}", part, today.get(key))
                for key, part in recorded.items()
                if part is not None and f"{name}.{key}" not in self.given
            }
        laid = self.node(name, recorded, today)
        fills = name in WHOLE and recorded.get("_target_") == today["_target_"]
        return {**copy.deepcopy(today), **laid} if fills else laid

    def node(self, path: str, recorded: Any, today: Any) -> dict[str, Any]:
        """A recorded node, as what stands at this place today."""
        target = recorded.get("_target_") if isinstance(recorded, dict) else None
        if not isinstance(today, dict) or today.get("_target_") != target:
            if isinstance(today, dict) and f"{path}._target_" in self.given:
                return copy.deepcopy(today)
            today = self._in_recipes(path, target)
        self._ask_for(path, target, today, recorded)
        if today is None:
            return {}
        laid = {name: copy.deepcopy(part) for name, part in today.items() if name[:1] == "_"}
        for name, value in recorded.items():
            inner, key = today.get(name, MISSING), f"{path}.{name}"
            if value == inner and type(value) is type(inner):
                laid[name] = copy.deepcopy(value)
            elif key in self.given:
                continue
            elif name[:1] != "_" and isinstance(value, dict) and "_target_" in value:
                laid[name] = self.node(key, value, inner)
            elif key == "data.url" and value is not None:
                laid[name] = None
                self._require_cached(recorded)
            elif _is_plain(value) and _takes(path, today, name) and not _leads_away(path, value):
                laid[name] = value
            else:
                self.refuse(key, value)
        return laid

    def _in_recipes(self, path: str, target: Any) -> Any:
        """What an experiment or the like that the run was begun with has at this place, if it is
        of this kind. It says what is built there; values that are not recorded it does not."""
        chosen = {g: c for g, c in self.record.choices.items() if g in WITHOUT_A_NODE}
        if self._recipes is None and chosen:
            self._recipes = self.request.composed_with(chosen)
        node = found(self._recipes or {}, path)
        return node if isinstance(node, dict) and node.get("_target_") == target else None

    def _ask_for(self, path: str, target: Any, today: Any, recorded: Config) -> None:
        """Ask for a node that today's line does not name, or does not name itself."""
        group, _, name = path.partition(".")
        asked = {"logger", f"{path}._target_"} & {*self.request.given}
        if today is not None and (group != "logger" or target in _LOCAL_LOGGERS or asked):
            return
        if not isinstance(target, str) or not _DOTTED.fullmatch(target):
            raise InputError(
                f"{self.record.source}: its {path} is {shown(target)}, which names nothing that "
                f"can be built"
            )
        choice = self.record.choices.get(group)
        word = self._typed(path, recorded)
        if today is not None:
            word = f"{group}={_written(choice) if choice else name}"
        elif choice and choice != self.request.choices.get(group):
            word = f"--config-dir FOLDER (that has {group}/{_written(choice)}.yaml)"
        self.lacking[f"{path} is {target}"] = word

    def _typed(self, path: str, recorded: Config) -> str:
        """The words that make of what stands at a place today what was recorded there."""
        node = found(self.request.config, path)
        there: Config = node if isinstance(node, dict) else {}
        words = [f"{'' if there else '+'}{path}._target_={recorded['_target_']}"]
        for name, value in recorded.items():
            if name[:1] != "_" and _is_plain(value) and there.get(name, MISSING) != value:
                words.append(override_of(f"{'' if name in there else '+'}{path}.{name}", value))
        words += [f"~{path}.{name}" for name in there if name not in recorded]
        return " ".join(shlex.quote(as_typed(word)) for word in words)

    def require_all(self) -> None:
        """Raise InputError for what today's line does not ask for."""
        if self.lacking:
            words = " ".join(dict.fromkeys(self.lacking.values()))
            raise InputError(
                f"{self.record.source}: {', '.join(self.lacking)}: what is built, where it writes "
                f"and whom it asks is not taken from a record; if you trust it, add {words}"
            )

    def _require_cached(self, data: Mapping[str, Any]) -> None:
        """A recorded address is not asked; the text may be here already."""
        sha256 = data.get("sha256")
        if (sha256 or data.get("corpus") is None) and not cached_text(str(sha256)):
            self.refuse("data.url", data["url"])

    def refuse(self, key: str, value: Any) -> None:
        """Ask for a value that is not taken from a record."""
        if not _is_plain(value):
            raise InputError(f"{self.record.source}: {shown(key)} is not taken from a record")
        word = override_of(key, value)
        if found(self.request.config, key) is MISSING:
            word = f"+{word}"
        self.lacking[shown(f"{key}={value}")] = shlex.quote(as_typed(word))


def _written(choice: Choice) -> str:
    return choice if isinstance(choice, str) else f"[{','.join(choice)}]"


def _is_plain(value: Any) -> bool:
    """Whether nothing in it says what is built; all of it is plain by its reading."""
    if isinstance(value, dict):
        return all(name[:1] != "_" and _is_plain(part) for name, part in value.items())
    return not isinstance(value, list) or all(map(_is_plain, value))


def _takes(path: str, node: Mapping[str, Any], name: str) -> bool:
    """Whether a record may set this argument of a node."""
    group, target = path.partition(".")[0], node["_target_"]
    schema = TARGETS.get(target)
    declared = name in getattr(schema, "__dataclass_fields__", ())
    if name[:1] == "_" or f"{path}.{name}" in _ADDRESSES:
        return False
    if target == "lightning.Trainer":
        return declared or name in _OF_THE_TRAINER
    if schema is not None and (group == "logger" or not hasattr(schema, "OPEN")):
        return declared
    if group == "logger":
        return False
    return name in node or (
        name in inspect.signature(get_object(target)).parameters
        and name not in SUPPLIED.get(group, ())
    )


def _leads_away(path: str, value: Any) -> bool:
    """Whether a text could be a place that is not the run's folder, or an address."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return any(_leads_away(path, part) for part in parts)
    if not isinstance(value, str) or path == "data":
        return False
    parts = re.split(r"[/\\]", value)
    return "://" in value or os.path.isabs(value) or value[:1] == "~" or ".." in parts


def _put(config: Config, key: str, now: Config) -> None:
    """Give an option the value that it has today; groups are laid already."""
    if key in SINGLE or key in SEVERAL:
        return
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
        node[last] = copy.deepcopy(value)


def _refuse_lost_rate(before: Config, after: Config, given: list[str]) -> None:
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


def words_again(config: Config, request: Request) -> str:
    """What the command line of a resume has to hold beside ``resume=``, quoted for a shell.

    These are the words that today's line has and a record does not stand for: where YAML files
    lie, what is built, what reaches over the network.
    """
    words = list(request.flags)
    typed = {key_of(override): as_typed(override) for override in request.overrides}
    # what is typed of a node that is typed goes with it: it may be required there
    nodes = tuple(key.removesuffix("_target_") for key in typed if key.endswith("._target_"))
    words += [
        word
        for key, word in typed.items()
        if key.startswith(nodes) or _is_asked_again(key, word, config)
    ]
    loggers = config["logger"].values()
    if any(node["_target_"] not in _LOCAL_LOGGERS for node in loggers) and not any(
        key.startswith("logger.") and "_target_" in word for key, word in typed.items()
    ):
        words.append(f"logger={_written(request.choices.get('logger', 'default'))}")
    words += [  # a recipe's
        as_typed(override_of(f"+trainer.{name}", value))
        for name, value in config["trainer"].items()
        if name[:1] != "_"
        and f"trainer.{name}" not in typed
        and not _takes("trainer", config["trainer"], name)
    ]
    return "".join(f" {shlex.quote(word)}" for word in words)


def _is_asked_again(key: str, word: str, config: Config) -> bool:
    if "_target_" in word:
        return True
    value, (path, _, name) = found(config, key), key.rpartition(".")
    if not path:
        # a group that conf/ has not, whose files may set anything
        return key not in config and key not in WITHOUT_A_NODE
    node = found(config, path)
    if value is MISSING or not isinstance(node, dict) or "_target_" not in node:
        return False
    if key == "data.url":
        return value is not None
    return not _takes(path, {"_target_": node["_target_"]}, name) or _leads_away(path, value)


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
    for group in SEVERAL:
        if (
            not isinstance(recorded.get(group), dict)
            or not recorded[group].keys() <= now[group].keys()
        ):
            return False
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
