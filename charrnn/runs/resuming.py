"""Find what a run resumes, and check that today's options and data fit it.

a new run         a new folder
resume=FOLDER     the same folder, its record, and its last.ckpt, else its best.ckpt
resume=X.ckpt     a new folder, and the record in the checkpoint
resume=auto       hydra.run.dir or the job's folder: resume its run, or start a run in it

A record is the decided config of a run. Today's words are composed over it. With `auto`, the whole
command is repeated, so the command decides what is built, and the record only provides values for
open options. The record in the checkpoint is the truth, and the file must agree with it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict

from charrnn.errors import InputError, shorten
from charrnn.options.ranges import FIXED, format_option, get_traits, list_options
from charrnn.options.training import TrainOptions, flatten
from charrnn.runs import folder as folders
from charrnn.runs import world
from charrnn.runs.folder import MISSING, Config, has_interpolation, select, to_plain
from charrnn.runs.run import Run
from charrnn.runs.trusted import find_unknown, find_untrusted, is_outside
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.text.background import Background
    from charrnn.training import TextDataModule

# When a resume changes an option, the decision that follows from it is open again.
FOLLOWING = {
    "threads": "model.num_batch_shards",
    "validate_every": "trainer.limit_val_batches",
    "callbacks": "trainer.enable_progress_bar",
}


class Start(NamedTuple):
    """The folder of a run, if it is known before Hydra composes, and what it resumes."""

    folder: str | None
    resume: str | None  # a folder, a .ckpt or "auto"


def find_start(resume: str | None, folder: str | None) -> Start:
    """Return where a run starts or resumes, by `resume=` and `hydra.run.dir=`."""
    if resume not in (None, "auto") and os.path.isdir(resume):
        if folder is not None and os.path.realpath(folder) != os.path.realpath(resume):
            raise InputError(
                f"hydra.run.dir={folder}: resume={resume} continues in the run's folder; leave "
                f"one out, or resume a .ckpt of the run in a new folder"
            )
        if "${" in resume:
            raise InputError(f"resume={resume}: Hydra cannot use a folder with ${{ in its path")
        return Start(resume, resume)
    folder = folder or world.get_slurm_folder()
    if folder is None and resume == "auto":
        raise InputError(
            "resume=auto: needs a folder; add hydra.run.dir=FOLDER, or give "
            "resume=outputs/latest to continue the newest run"
        )
    if folder is not None and resume != "auto" and folders.is_run(Path(folder)):
        if not world.is_restarted_by_slurm():
            folders.require_no_run(Path(folder))
        # SLURM restarted the job, so it resumes the run, also instead of the .ckpt of the line.
        return Start(folder, "auto" if resume is None else folder)
    return Start(folder, resume)


def has_record(source: str | os.PathLike[str]) -> bool:
    """Return whether a path is a checkpoint, or the folder of a run."""
    return os.path.isfile(source) or os.path.lexists(Path(source) / folders.RECORDED)


def read_record(source: str | os.PathLike[str]) -> Config:
    """Return the record of a run folder or a checkpoint, without resolving interpolations."""
    if os.path.isdir(source):
        return folders.read_config(Path(source))
    from charrnn.models import checkpoint  # imports torch

    return to_plain(checkpoint.read_run(Path(source))[checkpoint.ENTRY]["config"], str(source))


def require_trusted(source: object, record: Config) -> None:
    """Raise InputError if a record is of another version, or needs ``trust=true``."""
    if name := next(find_unknown(record), None):
        raise InputError(
            f"{source}: its record has {shorten(name)}, which this charrnn does not have: it is of "
            f"another version; train again"
        )
    if value := next(find_untrusted(record), None):
        raise InputError(
            f"{source}: its recorded {shorten(value)} could run foreign code or reach other "
            f"places; if you trust this run, add trust=true"
        )


def reopen_decisions(record: Config, given: Collection[str]) -> Config:
    """Return a record in which the decisions are open that follow from a given option."""
    for name, following in FOLLOWING.items():
        group, _, option = following.partition(".")
        if name in given and following not in given and isinstance(record.get(group), dict):
            record = {**record, group: {**record[group], option: None}}
    return record


def restore_record(run: Run, source: Path) -> Run:
    """Return the run with the record of its source, which is compared with today's options."""
    record, config, given = read_record(source), run.config.copy(), run.given
    if run.config.resume == "auto":
        _fill_open(config, reopen_decisions(record, given))
        given = ()  # because the whole command is given again
    _refuse_changes(record, OmegaConf.to_container(config), given)
    return replace(run, config=config, source=source)


def _fill_open(config: DictConfig, record: Config) -> None:
    """Give options that are open the values of the record."""
    raw: Any = OmegaConf.to_container(config)
    for name, recorded in record.items():
        value = raw.get(name, MISSING)
        if isinstance(value, dict) and isinstance(recorded, dict):
            _fill_open(config[name], recorded)
        elif value in (None, "auto", -1) and _is_plain(recorded):
            config[name] = recorded


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return not has_interpolation(value) and not is_outside(value)
    return isinstance(value, int | float)


def _refuse_changes(record: Config, config: Any, given: Collection[str]) -> None:
    """Raise InputError if an option changed that a resume cannot change."""
    options = list_options(TrainOptions)
    fixed = {name for name, annotation in options if FIXED in get_traits(annotation)}
    fixed |= {"data._target_", "model._target_", "optimizer._target_"}
    # A different kind of network is reported before its different size.
    for key in sorted(fixed, key=lambda name: (not name.endswith(("kind", "_target_")), name)):
        if (old := select(record, key)) is not MISSING and old != select(config, key):
            raise InputError(
                f"{format_option(key, select(config, key))}: a resume cannot change it (the run "
                f"has {format_option(key, old)}); leave it out, or start a new run from the "
                f"weights with init_from="
            )
    # Schedules of other packages resume as they were saved, with their learning rate.
    target = str(select(config, "schedule._target_"))
    for key in given if not target.startswith("charrnn.") else ():
        is_schedule = key.split(".")[0] in ("optimizer", "schedule")
        if is_schedule and select(record, key) != select(config, key):
            raise InputError(
                f"{key}: a resume cannot change it, because {target} resumes as it was saved; "
                f"leave it out, or start a new run with init_from="
            )


# -- in the locked folder -----------------------------------------------------------------------


def adopt_checkpoint(run: Run) -> Run:
    """Return the run with the checkpoint from which it resumes, and with its record."""
    from charrnn.models import checkpoint

    if run.source is None:
        return run
    path = folders.find_checkpoint(run.folder) if run.is_in_place else run.source
    if path is None:
        say(f"{run.folder}: has no checkpoint yet; the run starts from its beginning")
        return run
    content = checkpoint.read_run(path)
    entry = content[checkpoint.ENTRY]
    config = run.config
    if run.is_in_place:
        config = _adopt_record(run, path, to_plain(entry["config"], str(path)))
    step = int(content["global_step"])
    # The checkpoint has the weights, so the model of init_from is not loaded.
    return replace(run, config=config, checkpoint=path, first_step=step, entry=entry, initial=None)


def _adopt_record(run: Run, path: Path, record: Config) -> DictConfig:
    """Return the config with the checkpoint's value where the file of the record differs."""
    file = run.folder / folders.RECORDED
    in_checkpoint, in_file = flatten(record), flatten(folders.read_config(run.folder))
    composed, config = flatten(OmegaConf.to_container(run.config)), run.config.copy()
    if lacking := sorted(in_checkpoint.keys() - in_file.keys()):
        raise InputError(
            f"{file}: lacks {lacking[0]}, which {path.name} has; restore the file, or resume the "
            f"checkpoint in a new folder: resume={path}"
        )
    options = dict(list_options(TrainOptions))
    different = [name for name in in_file if in_file[name] != in_checkpoint.get(name, MISSING)]
    if different and not run.config.trust:
        require_trusted(path, record)
    for name in different:
        # Today's words decide what they set: by the option's name or group, or by a choice that
        # sets options of other groups, which only the composed value shows.
        if run.gives(name) or composed.get(name, MISSING) != in_file[name]:
            continue
        used = in_checkpoint.get(name, "nothing")
        is_invalid = None not in (used, in_file[name]) and type(used) is not type(in_file[name])
        if is_invalid and (name in in_checkpoint or name in options):
            raise InputError(
                f"{path}: its recorded {format_option(name, used)} is not valid ({file.name} has "
                f"{in_file[name]}); resume another checkpoint"
            )
        say(f"{file}: {name} is {in_file[name]} there and {used} in {path.name}, which is used")
        _set(config, name, in_checkpoint.get(name, MISSING))
    return config


def _set(config: DictConfig, name: str, value: Any) -> None:
    """Set an option to a value. For MISSING, remove it, and a node that is empty then."""
    group, _, option = name.rpartition(".")
    node = OmegaConf.select(config, group) if group else config
    with open_dict(node):
        if value is not MISSING:
            node[option] = value
            return
        del node[option]
    if group and not node:
        _set(config, group, MISSING)


def is_finished(run: Run) -> bool:
    """Return whether the resumed run has ended, and today's options set the same length."""
    if run.checkpoint is None or not run.entry["finished"]:
        return False
    config: Any = OmegaConf.to_container(run.config)
    recorded = run.entry["config"]
    lengths = ("trainer.max_epochs", "trainer.max_steps")
    is_same = all(select(config, name) == select(recorded, name) for name in lengths)
    return is_same and _find_early_stops(config) == _find_early_stops(recorded)


def _find_early_stops(config: Mapping[str, Any]) -> list[Any]:
    """Return the nodes of the callbacks that may end a run early."""
    nodes = config.get("callbacks")
    values = nodes.values() if isinstance(nodes, dict) else ()
    return [node for node in values if isinstance(node, dict) and "patience" in node]


def check_length(run: Run) -> None:
    """Raise InputError if the checkpoint is of a later step than `trainer.max_steps`."""
    max_steps, step = run.config.trainer.max_steps, run.first_step
    if max_steps != -1 and step > max_steps:
        path = run.checkpoint
        raise InputError(f"trainer.max_steps={max_steps}: {path} is at step {step} already")


def check_resume(run: Run, data: TextDataModule, num_processes: int) -> None:
    """Raise InputError if a checkpoint does not fit the decided options, the text and the ranks."""
    if run.checkpoint is None:
        return
    check_length(run)
    path, entry = run.checkpoint, run.entry
    if entry["fingerprint"] != data.encoded.fingerprint:
        name = shorten(run.config.data.input_txt or data.encoded.path)
        raise InputError(
            f"{name}: the data is not what {path} was trained on; restore it to resume, or start a "
            f"new run from its weights with init_from={path}"
        )
    batch_size, seq_length, streams = entry["batch_size"], entry["seq_length"], data.streams
    if (batch_size, seq_length) != (streams.batch_size, streams.seq_length):
        raise InputError(
            f"{path}: was trained with data.batch_size={batch_size} data.seq_length={seq_length}, "
            f"which a resume cannot change"
        )
    ranks, dropout = len(entry["ranks"]), run.config.model.dropout
    if ranks != num_processes and dropout:
        raise InputError(
            f"trainer.devices: {path} was trained with {ranks} process(es), each with other random "
            f"numbers for model.dropout={dropout:g}, and cannot resume with "
            f"{num_processes}; set trainer.devices so that {ranks} process(es) run"
        )


def check_background(run: Run, background: Background) -> None:
    """Raise InputError if the background cannot be read, has changed, or is not trusted.

    An untrusted config could name a private text of the user, which would be counted into the
    model. A checkpoint is trusted, because its author has had the texts: it has their fingerprint.
    """
    names, is_given = run.config.data.background, run.gives("data.background")
    is_from_config = run.source is not None and run.checkpoint is None and not is_given
    if names and is_from_config and not run.config.trust:
        raise InputError(
            f"data.background={shorten(names)}: only the record of {run.source} names it; give "
            f"it again, or trust=true"
        )
    fingerprint = background.fingerprint  # this reads the texts
    if run.checkpoint is not None and run.entry.get("background") != fingerprint:
        raise InputError(
            f"data.background={shorten(names)}: is not what {run.checkpoint} counted; restore it "
            f"to resume"
        )
