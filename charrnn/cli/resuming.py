"""How a run begins, and how it or a sweep goes on: by today's line, else its record, else defaults.

a new run         the folder that Hydra made
resume=FOLDER     the same folder, its recorded config, its newest whole checkpoint;
                  of a sweep's job that has not begun, the config that the sweep recorded
resume=X.ckpt     a new folder, the config in the checkpoint
resume=auto       the newest unfinished run of this config, else a new one;
                  in a sweep each job's own folder: gone on with, or begun

The names that a record chose in the groups of conf/ are looked up again, in conf/ and in today's
``--config-dir``. The words that choose them stand before ``resume=`` and today's own after it,
so that the two can be told apart. What is built is what these words compose; which nodes there
are is the record's, and so is every value that is plain and for an option of what is built.
Everything else is refused by its name, with the words that ask for it.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig

from charrnn import plugins
from charrnn.cli import conf
from charrnn.cli.checked_options import SUPPLIED, build, having
from charrnn.cli.command_line import Flags
from charrnn.cli.conf import WITHOUT_A_NODE
from charrnn.cli.config_files import key_of, searched_folders, todays
from charrnn.cli.job import Request, with_real_paths
from charrnn.cli.literal import as_typed, literal, override_of, written
from charrnn.cli.node_options import TARGETS
from charrnn.errors import InputError, shown
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.options.datasets import without_default_corpus
from charrnn.options.ranges import FIXED
from charrnn.options.training import DataNode, TrainOptions
from charrnn.runs import folder as folders
from charrnn.runs.recorded_config import (
    MISSING,
    Choice,
    Config,
    Record,
    found,
    leaves,
    put,
    record_of,
)
from charrnn.runs.spec import RunSpec
from charrnn.sweeps import jobs
from charrnn.sweeps.jobs import Sweep, SweepJob
from charrnn.text.corpora import cached_text
from charrnn.training.checkpoints import LAST

SINGLE_NODES = ("data", "model", "optimizer", "schedule", "trainer")
NAMED_NODES = ("callbacks", "logger")
# whose options are all there in every record: what is missing there is new since
COMPLETE_NODES = ("data", "model", "trainer")

# loggers that write into the run's folder only; another one is built if today's line asks for it
_LOCAL_LOGGERS = (
    "charrnn.training.MetricsCSV",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
)
# arguments of lightning.Trainer that decide how it is trained, beside those in conf/
_TRAINER_ARGUMENTS = frozenset(
    {"accumulate_grad_batches", "benchmark", "detect_anomaly", "deterministic", "fast_dev_run",
     "inference_mode", "limit_predict_batches", "limit_test_batches", "limit_train_batches",
     "limit_val_batches", "max_time", "min_epochs", "min_steps", "overfit_batches",
     "sync_batchnorm", "enable_model_summary"}
)  # fmt: skip
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_FOLDER = re.compile(r"file://([^,\]'\"]+)")


# The words that are composed


def run_words(
    record: Record, today: Sequence[str], searched: Sequence[Path], *recipes: str
) -> list[str]:
    """The words that choose what a record chose, where today's do not say so themselves.

    Args:
        searched: the folders of YAML files.
        recipes: the groups without a node of their own that are chosen in, too.
    """
    groups = conf.page("train").groups.keys() - {*WITHOUT_A_NODE} | {*recipes}
    groups -= {key_of(word) for word in today}

    def is_there(group: str, choice: Choice) -> bool:
        names = choice if isinstance(choice, list) else [choice]
        return all(any((f / group / f"{name}.yaml").is_file() for f in searched) for name in names)

    chosen = record.choices.items()
    return sorted(override_of(g, c) for g, c in chosen if g in groups and is_there(g, c))


def searched_by(today: Sequence[str], flags: Flags | None) -> list[Path]:
    """The folders of YAML files that a command line names, after charrnn's own."""
    own = [flags.config_dir, flags.config_path] if flags is not None else []
    own += [path for word in today if "hydra.searchpath=" in word for path in _FOLDER.findall(word)]
    return [*plugins.conf_folders("train"), *(Path(folder) for folder in own if folder)]


def sweep_words(folder: Path, today: Sequence[str], flags: Flags | None = None) -> list[str]:
    """The words that go on with a sweep.

    Raises:
        InputError: its record cannot be used, or today's words would make other jobs of it.
    """
    folders.require_plain_files(folder)
    sweep = jobs.read(folder)
    swept = {key_of(name) for name in sweep.swept}
    for word in today:
        if key_of(word) in swept or _has_several_values(word):
            raise InputError(
                f"{word}: resume={folder} goes on with the jobs that its sweep has; "
                f"leave it out, or start another sweep"
            )
    resume = override_of("resume", str(folder))
    own = [override_of("hydra.sweep.dir", str(folder)), "hydra.mode=MULTIRUN"]
    if sweep.space is None:
        return ["hydra/sweeper=recorded", resume, *today, *own]
    base = run_words(sweep.jobs[0].record, today, searched_by(today, flags), "sweep")
    if not any(word.startswith("sweep=") for word in (*base, *today)):
        base.append("hydra/sweeper=study")
    return [*base, resume, *today, *own]


def _has_several_values(word: str) -> bool:
    try:
        [word] = literal([word], "train", multirun=True)
        return bool(OverridesParser.create().parse_override(word).is_sweep_override())
    except HydraException:
        return False  # which is told as the line is composed


def recorded_jobs(hydra: DictConfig, today: Sequence[str]) -> list[list[str]]:
    """The words of each job of the sweep that ``resume=`` names among today's words."""
    sweep = jobs.read(Path(hydra.sweep.dir))
    return [job_words(sweep, job, job.folder, hydra, today) for job in sweep.jobs]


def job_words(
    sweep: Sweep, job: SweepJob, folder: str, hydra: DictConfig, today: Sequence[str]
) -> list[str]:
    """The words of a job that goes on, or begins, in its folder of the sweep."""
    own = todays(list(today))[1:]
    recipes = [*({*sweep.swept} & {*WITHOUT_A_NODE}), *["sweep"] * (sweep.space is not None)]
    return [
        *run_words(job.record, own, searched_folders(hydra), *recipes),
        override_of("resume", os.fspath(sweep.folder / folder)),
        *own,
        override_of("hydra.sweep.subdir", folder),
    ]


def words_again(words: Sequence[str], flags: Sequence[str], config: Config, *swept: str) -> str:
    """What the line of a resume has to hold beside ``resume=``, quoted for a shell.

    A record stands for the options of charrnn's own. What else today's words have is repeated as
    it was typed: given again, it changes no value.

    Args:
        config: that was composed of them.
        swept: the options that differ between the jobs of a sweep.
    """
    own = {*conf.page("train").names(), "resume", *swept} - {"data.url", "experiment", "debug"}
    for node in NAMED_NODES:  # a record's values that lead away are not taken
        own -= {key for key in own if key.startswith(node) and _leads_away(found(config, key))}
    typed = {key_of(word): as_typed(word) for word in todays(list(words))}
    again = [
        word
        for key, word in typed.items()
        if key.startswith("hydra.launcher")
        or not (key.startswith("hydra.") or key in swept or (key in own and word[0] not in "+~"))
    ]
    nodes = [node["_target_"] for node in config["logger"].values() if node]
    if {*nodes} - {*_LOCAL_LOGGERS} and not any(
        key.startswith("logger.") and "_target_" in word for key, word in typed.items()
    ):
        again.append(typed.get("logger", "logger=default"))
    return "".join(f" {shlex.quote(word)}" for word in (*flags, *again))


# What the run has then


def merged(record: Record, asked: Request) -> TrainOptions:
    """The recorded config with what is asked for today, checked.

    Raises:
        InputError: names an option that a resume cannot change, or what is not taken from a
            record, with the words that ask for it.
    """
    config = laid_over(record, asked.config.plain(), asked, having("train", FIXED))
    # it was asked for when the run was begun; a resume does without that file
    checked: TrainOptions = build(plugins.options_of("train"), {**config, "init_from": None})
    return replace(checked, init_from=config["init_from"])


def laid_over(record: Record, now: Config, asked: Request, fixed: frozenset[str]) -> Config:
    """The recorded config, laid over today's, with what today's line gives.

    Args:
        now: today's config.
        fixed: the options that a resume cannot change.
    """
    recorded = record.config
    given = _changed(record.choices, asked)
    result, lacking = copy.deepcopy(now), dict[str, str]()

    def refuse(key: str, value: Any) -> None:
        if not _is_plain(value):
            raise InputError(f"{record.source}: {shown(key)} is not taken from a record")
        word = f"{'+' if found(now, key) is MISSING else ''}{override_of(key, value)}"
        lacking[shown(f"{key}={value}")] = shlex.quote(as_typed(word))

    def several(path: str, value: Config, today: Config) -> Config:
        nodes = {name: node for name, node in value.items() if node is not None}
        return {
            name: laid(f"{path}.{name}", node, today.get(name))
            for name, node in nodes.items()
            if f"{path}.{name}" not in given
        }

    def laid(path: str, value: Any, today: Any) -> Any:
        """A recorded node, over what stands at its place today."""
        target = value.get("_target_") if isinstance(value, dict) else None
        if not isinstance(today, dict) or today.get("_target_") != target:
            if isinstance(today, dict) and f"{path}._target_" in given:
                return copy.deepcopy(today)
            today = None
        if word := _asking(path, value, today, now, record, asked):
            lacking[f"{path} is {target}"] = word
        if today is None:
            return {}
        result = {
            name: part for name, part in today.items() if name[:1] == "_" or path in COMPLETE_NODES
        }
        for name, part in value.items():
            key, inner = f"{path}.{name}", today.get(name, MISSING)
            if (part == inner and type(part) is type(inner)) or key in given:
                result[name] = inner
            elif name[:1] != "_" and isinstance(part, dict) and "_target_" in part:
                result[name] = laid(key, part, inner)
            elif key == "data.url" and part is not None:
                result[name] = None  # it is not asked; the text may be here already
                sha256 = value.get("sha256")
                if (sha256 or value.get("corpus") is None) and not cached_text(str(sha256)):
                    refuse(key, part)
            elif (
                _is_plain(part)
                and _takes(path, today, name)
                and (path == "data" or not _leads_away(part))
            ):
                result[name] = part
            else:
                refuse(key, part)
        return result

    for name, value in recorded.items():
        today = now.get(name, MISSING)
        if today is MISSING:
            raise InputError(f"{record.source}: {shown(name)} is no option of charrnn train")
        if name not in (*SINGLE_NODES, *NAMED_NODES):
            result[name] = value
            if not _is_plain(value):
                refuse(name, value)
        elif not isinstance(value, dict):
            raise InputError(f"{record.source}: its {name} is no group of options")
        elif name not in given:
            result[name] = (several if name in NAMED_NODES else laid)(name, value, today)
        elif name in SINGLE_NODES:
            # what a choice leaves open was decided when the run was begun
            open = (key for key, part in today.items() if part is None and key in value)
            decided = {key: value[key] for key in open if _is_plain(value[key])}
            result[name] = {**today, **{k: v for k, v in decided.items() if _takes(name, today, k)}}
    if lacking:
        raise InputError(
            f"{record.source}: {', '.join(lacking)}: what is built, where it writes and whom it "
            f"asks is not taken from a record; if you trust it, add "
            f"{' '.join(dict.fromkeys(lacking.values()))}"
        )
    result = copy.deepcopy(result)
    for key in given:
        if key not in (*SINGLE_NODES, *NAMED_NODES):
            put(result, key, found(now, key))
    _refuse_changes(recorded, result, given, fixed)
    return result


def _changed(chosen: Mapping[str, Choice], asked: Request) -> list[str]:
    """What today's line gives; a choice that is given again changes no value."""
    same = {group for group in chosen if asked.choices.get(group) == chosen[group]}
    typed = {key_of(word) for word in todays(list(asked.overrides))}
    again = {key for group in same for key in asked.set_by_recipes.get(group, ())} - typed
    return [key for key in asked.given if key not in {"resume", *same, *again, *WITHOUT_A_NODE}]


def _refuse_changes(
    before: Config, after: Config, given: Sequence[str], fixed: frozenset[str]
) -> None:
    """Refuse what makes another run of it, the kind of a thing before its sizes."""
    kinds = {"optimizer._target_", "model._target_"}
    names = sorted({*fixed, *kinds}, key=lambda n: (not n.endswith(("kind", "_target_")), n))
    for key in names:
        if (old := found(before, key)) is not MISSING and old != found(after, key):
            raise InputError(
                f"{key}={found(after, key)}: a resume cannot change it (the run has {old}); "
                f"leave it out, or start anew, with init_from= for the weights"
            )
    # only our own schedules follow a new learning rate; others go on as they were saved
    target = str(found(after, "schedule._target_"))
    for key in given if not target.startswith("charrnn.") else ():
        changes = key.split(".")[0] in ("optimizer", "schedule")
        if changes and found(before, key) != found(after, key):
            raise InputError(
                f"{key}: a resume cannot change it under {target}, which goes on as it was saved; "
                f"leave it out, or start anew with init_from="
            )


def _asking(
    path: str, value: Config, today: Any, now: Config, record: Record, asked: Request
) -> str:
    """The word that asks for a recorded node which today's line does not name; "" if it does."""
    group, _, name = path.partition(".")
    target = value.get("_target_") if isinstance(value, dict) else None
    named = {"logger", f"{path}._target_"} & {*asked.given}
    if today is not None and (group != "logger" or target in _LOCAL_LOGGERS or named):
        return ""
    if not isinstance(target, str) or not _DOTTED.fullmatch(target):
        raise InputError(
            f"{record.source}: its {path} is {shown(target)}, which names nothing that can be built"
        )
    choice = record.choices.get(group)
    if today is not None:
        return override_of(group, choice or name)
    if choice and choice != asked.choices.get(group):
        return f"--config-dir FOLDER (that has {group}/{written(choice)}.yaml)"
    # a recipe that the run was begun with may be what builds it
    recipes = {g: c for g, c in record.choices.items() if g in ("experiment", "debug")}
    if left := [g for g, chosen in recipes.items() if chosen != asked.choices.get(g)]:
        return " ".join(override_of(group, recipes[group]) for group in left)
    node = found(now, path)
    there: Config = node if isinstance(node, dict) else {}
    words = [f"{'' if there else '+'}{path}._target_={target}"]
    for name, part in value.items():
        if name[:1] != "_" and _is_plain(part) and there.get(name, MISSING) != part:
            words.append(override_of(f"{'' if name in there else '+'}{path}.{name}", part))
    words += [f"~{path}.{name}" for name in there if name not in value]
    return " ".join(shlex.quote(as_typed(word)) for word in words)


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
    if name[:1] == "_" or f"{path}.{name}" in ("data.url", "logger.mlflow.tracking_uri"):
        return False
    if target == "lightning.Trainer":
        return declared or name in _TRAINER_ARGUMENTS
    if group == "logger" or (schema is not None and not hasattr(schema, "OPEN")):
        return declared
    named = inspect.signature(get_object(target)).parameters.keys() - SUPPLIED.get(group, set())
    return name in node or name in named


def _leads_away(value: Any) -> bool:
    """Whether a text could be a place that is not the run's folder, or an address."""
    if isinstance(value, dict | list):
        return any(map(_leads_away, value.values() if isinstance(value, dict) else value))
    if not isinstance(value, str):
        return False
    parts = re.split(r"[/\\]", value)
    return "://" in value or os.path.isabs(value) or value[:1] == "~" or ".." in parts


def run_of(asked: Request) -> RunSpec:
    """The run that is asked for.

    Raises:
        InputError: it cannot begin so; nothing is written or removed then.
    """
    resume = asked.config.resume
    if resume is None and _is_started_again(asked):
        resume = "auto"
    if resume is None:
        return _new(asked)
    if resume == "auto":
        return _automatic(asked)
    target = Path(resume).resolve()
    if target.is_dir() and (target / folders.RECORDED).is_file():
        return _again(target, asked)
    if job := jobs.record_for(target, asked.config.plain(), asked.choices, asked.overrides):
        return _run(asked, _merged(job.record, asked), target, None, job.overrides)
    if target.is_dir():
        raise InputError(
            f"{resume}: not a run folder (it has no {folders.RECORDED}); "
            f"give one that `charrnn train` made, or a .ckpt"
        )
    return _run(asked, _merged(checkpoint_record(resume), asked), asked.folder, target)


def _run(
    asked: Request,
    config: TrainOptions,
    folder: Path,
    source: Path | None,
    overrides: tuple[str, ...] | None = None,
) -> RunSpec:
    again = words_again(asked.overrides, asked.flags, config.plain())
    typed = asked.overrides if overrides is None else overrides
    return RunSpec(config, folder, source, asked.given, asked.choices, typed, asked.hydra, again)


def _new(asked: Request) -> RunSpec:
    folders.refuse_run(asked.folder)
    return _run(asked, absolute(_with_one_text(asked.config, asked.given)), asked.folder, None)


def checkpoint_record(path: str) -> Record:
    """What the run of a checkpoint was begun with.

    Raises:
        InputError: it cannot be read, or is no record.
    """
    entry = checkpoint.read_run(Path(path))[ENTRY]
    return record_of(entry["config"], entry.get("choices", {}), path)


def absolute(config: TrainOptions) -> TrainOptions:
    """The config with its paths absolute, so that a resume may stand in any folder."""
    data = config.data
    texts = data.input_txt
    data = replace(
        data,
        input_txt=[*map(os.path.abspath, texts)] if isinstance(texts, list) else _absolute(texts),
        input_h5=_absolute(data.input_h5),
        input_json=_absolute(data.input_json),
    )
    return replace(with_real_paths(config), data=data, resume=None)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)


def _with_one_text(config: TrainOptions, given: Sequence[str]) -> TrainOptions:
    data = without_default_corpus(config.data.plain(), given)
    return replace(config, data=DataNode.of(data))


def _again(folder: Path, asked: Request) -> RunSpec:
    config = _merged(folders.read_record(folder), asked)
    return _run(asked, config, folder, folder)


def _merged(record: Record, asked: Request) -> TrainOptions:
    """A recorded config with what was asked for today, such as another place of the same text."""
    # named from another folder they are the same
    asked = replace(asked, config=with_real_paths(asked.config))
    try:
        config = merged(record, asked)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{record.source}: its config is none that charrnn wrote ({what})"
        ) from error
    return absolute(_with_one_text(config, ()))


def _is_started_again(asked: Request) -> bool:
    """Whether a launcher put this job of a sweep into its queue again, and it began already."""
    launched = "SUBMITIT_EXECUTOR" in os.environ and bool(asked.job_id)
    return (
        launched and folders.is_run(asked.folder) and folders.job_id(asked.folder) == asked.job_id
    )


def _automatic(asked: Request) -> RunSpec:
    folder = asked.folder
    now = absolute(_with_one_text(asked.config, asked.given))
    if asked.job_id:
        if (folder / folders.RECORDED).is_file():
            return _again(folder, _without_resume(asked))
        return _run(asked, now, folder, None)
    for other in folders.run_folders(folder.parent.parent):
        if other != folder and _is_unfinished(other, now.plain()):
            folders.unmake(folder)
            # what it was begun with is what is given; who asks for a logger still does
            loggers = tuple(key for key in asked.given if key.split(".")[0] == "logger")
            return _again(other, _without_resume(asked, loggers))
    return _new(asked)


def _without_resume(asked: Request, given: tuple[str, ...] | None = None) -> Request:
    kept = asked.given if given is None else given
    # what the run was begun from is recorded, as is what was left open then, such as seed=null;
    # a resume does not ask for it again
    left_open = {key for key in having("train", FIXED) if found(asked.config.plain(), key) is None}
    past = {"resume", "init_from", *left_open}
    return replace(asked, given=tuple(key for key in kept if key not in past))


def _is_unfinished(folder: Path, now: Config) -> bool:
    with contextlib.suppress(InputError):
        if not is_same_run(now, folders.recorded(folder)):
            return False
        last = folder / "checkpoints" / LAST
        if not last.exists():
            return True
        with contextlib.suppress(InputError):
            return not checkpoint.read_run(last)[ENTRY]["finished"]
        return True
    return False


def is_same_run(now: Config, recorded: Config) -> bool:
    """Whether a recorded config is what `now` would become.

    What is automatic or null in `now` was decided at the recorded run's start.
    """
    for group in NAMED_NODES:
        if (
            not isinstance(recorded.get(group), dict)
            or not recorded[group].keys() <= now[group].keys()
        ):
            return False
    for key, value in leaves(now):
        if key == "resume" or value is None or value == "auto":
            continue
        if found(recorded, key) != value:
            return False
    return True
