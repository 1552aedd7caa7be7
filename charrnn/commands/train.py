"""`charrnn train`: from a composed config to a run folder.

a new run         the folder that Hydra made
resume=FOLDER     the same folder, its recorded config, its newest whole checkpoint
resume=X.ckpt     a new folder, the config in the checkpoint
resume=auto       the newest unfinished run of this config, else a new one;
                  with hydra.run.dir=FOLDER the run in that folder, which it may begin
"""

from __future__ import annotations

import contextlib
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from charrnn.commands.recorded import (
    RECORDED,
    absolute,
    key_of,
    options_from,
    plain,
    record,
    recorded,
    with_choices_made,
)
from charrnn.errors import InputError, Interrupted, RunError
from charrnn.options import TrainOptions
from charrnn.training import launchers

if TYPE_CHECKING:
    from charrnn.training.signals import Signals
    from charrnn.training.task import Result, Start

LATEST = Path("outputs") / "latest"


def follow() -> int | None:
    """In all processes but the first that torchrun or srun started: train with the first.

    Returns:
        The exit code; None in a process that has to read the command line itself.
    """
    place = launchers.place()
    if place.rank:
        from charrnn.commands import rank

        return rank.follow(place)
    if place.launcher:
        from charrnn.training import processes

        processes.meet(place)  # at once: the others are waiting
    return None


def prepare_overrides(overrides: list[str]) -> list[str]:
    """Overrides that let Hydra's run folder be the folder of this run."""
    values = {name: _unquoted(v) for name, _, v in (o.partition("=") for o in overrides)}
    resume, folder = values.get("resume"), values.get("hydra.run.dir")
    added = []
    if folder is None and (resume is None or not os.path.isdir(resume)):
        folder = launchers.slurm_job_folder()
        if folder is not None:
            added.append(f"hydra.run.dir={folder}")
        elif launchers.may_be_restarted_by_torchrun() and resume != "auto":
            raise InputError(
                "hydra.run.dir: with torchrun's --max-restarts give it, so that a restarted run "
                "finds its folder: hydra.run.dir=outputs/train/NAME"
            )
    named = resume == "auto" and "hydra.run.dir" in values
    if named:  # this very run, which may have to begin
        overrides = [o for o in overrides if not o.startswith("resume=")]
        resume = None
    if folder is not None and _is_run(Path(folder)) and (named or launchers.restarted()):
        # however it began, it goes on from where it was interrupted
        overrides = [o for o in overrides if not o.startswith(("resume=", "init_from="))]
        resume = folder
        added.append(f"resume={resume}")
    if resume is not None and os.path.isdir(resume):
        overrides = [o for o in overrides if not o.startswith("hydra.run.dir=")]
        added.append(f"hydra.run.dir={resume}")
        # what Hydra would write there is the recorded config, which must survive
        added.append("hydra.output_subdir=null")
    elif folder is not None and _is_run(Path(folder)):
        raise InputError(_occupied(folder))
    return overrides + added


def refuse_folder(folder: Path) -> None:
    """Raise InputError if a run stands in `folder`: what it recorded must survive."""
    if _is_run(folder):
        raise InputError(_occupied(str(folder)))


def run(options: TrainOptions) -> None:
    """Train, and say where the result is."""
    from charrnn.training.progress import say
    from charrnn.training.signals import Signals

    with Signals() as signals:
        try:
            _run(options, signals)
        except Interrupted:
            if line := launchers.requeue():
                say(line)
            raise


def _run(options: TrainOptions, signals: Signals) -> None:
    from charrnn import files
    from charrnn.training import resume

    place = launchers.place()
    if options.resume is None:
        launchers.check(options, place)
    folder, config, source = _beginning(options)
    launchers.check(options_from(config), place)
    held = files.lock(folder / ".lock", wait=False)
    if held is None:
        owner = (folder / ".lock").read_text().strip()
        raise InputError(f"{folder}: another charrnn (process {owner}) is training in it")
    with held:
        files.remove_unfinished(folder)
        start = _start(folder, source)
        finished = start.entry.get("finished")
        if finished and not resume.asks_for_more(start.entry["config"], config):
            _say_finished(folder, start)
            return
        try:
            result = _train(config, folder, start, signals, place, held)
        except Interrupted as stopped:
            raise Interrupted(f"{stopped}; {_how_to_resume(folder)}", stopped.signum) from None
        except RunError as error:
            raise RunError(f"{error}; {_how_to_resume(folder)}") from error
        _say_end(folder, result)


def _train(
    config: dict[str, Any],
    folder: Path,
    start: Start,
    signals: Signals,
    place: launchers.Place,
    held: IO[str],
) -> Result:
    """Train in this process alone, or in several of which this one is the first or the parent."""
    from dataclasses import fields

    from charrnn.data import open_data
    from charrnn.text.checks import without_default_corpus
    from charrnn.text.prepare import Corpus, prepare
    from charrnn.training import hardware
    from charrnn.training.plan import make_plan
    from charrnn.training.progress import say
    from charrnn.training.task import Task

    data_options = options_from(config).data
    if data_options.input_h5 is not None and data_options.input_json is not None:
        pair = Path(data_options.input_h5), Path(data_options.input_json)
    else:
        chosen = without_default_corpus(vars(data_options), ())
        names = [field.name for field in fields(Corpus)]
        pair = prepare(Corpus(**{name: chosen[name] for name in names}), say)
    data = open_data(*pair)
    config = with_choices_made(config, place, is_new=start.content is None)
    options = options_from(config)
    count = hardware.processes(options.trainer)
    make_plan(options, data, start, count)  # what cannot be is refused here
    record(folder, config)
    _link_latest(folder)
    if count > 1:
        from charrnn.training import processes

        files = str(data.path.resolve()), str(data.json_path.resolve())
        task = Task(config, str(folder), *files, None if start.path is None else str(start.path))
        if not place.launcher:
            assert options.trainer.threads is not None
            return processes.train_together(task, count, options.trainer.threads, held)
        processes.meet(place).put("task", asdict(task))
    from charrnn.training.run import train

    return train(options, config, data, folder, start, signals, place)


# -- where a run begins ----------------------------------------------------------------


def _beginning(options: TrainOptions) -> tuple[Path, dict[str, Any], Path | None]:
    """The run's folder, its config, and what it goes on from: that folder, a .ckpt, or nothing."""
    from omegaconf import OmegaConf

    from charrnn.commands import compose
    from charrnn.models import checkpoint
    from charrnn.training import resume

    now = absolute(plain(OmegaConf.to_container(compose.composed_config())))
    given = [key_of(override) for override in compose.task_overrides()]
    folder = compose.run_dir()
    if options.resume is None:
        if _is_run(folder):
            raise InputError(_occupied(str(folder)))
        return folder, now, None
    if options.resume == "auto":
        for found in resume.run_folders(folder.parent.parent):
            if found != folder and _is_unfinished(found, now):
                _unmake(folder)
                return found, recorded(found), found
        if _is_run(folder):
            raise InputError(_occupied(str(folder)))
        return folder, {**now, "resume": None}, None
    target = Path(options.resume).resolve()
    if target.is_dir():
        if not (target / RECORDED).is_file():
            raise InputError(
                f"{options.resume}: not a run folder (it has no {RECORDED}); "
                f"give one that `charrnn train` made, or a .ckpt"
            )
        return target, resume.merged(recorded(target), now, given), target
    entry = checkpoint.read_run(Path(options.resume))[checkpoint.ENTRY]
    return folder, resume.merged(entry["config"], now, given), target


def _start(folder: Path, source: Path | None) -> Start:
    """The checkpoint to go on from; of a run folder, which is locked by now, the newest."""
    from charrnn.training.task import Start

    if source != folder:
        return Start.at(source)
    from charrnn.training.checkpoints import newest_usable
    from charrnn.training.progress import say

    usable = newest_usable(folder)
    for note in usable.notes:
        say(note)
    if usable.path is None:
        say(f"{folder}: has no checkpoint yet; the run starts from its beginning")
    return Start(usable.path, usable.content)


def _is_unfinished(folder: Path, now: dict[str, Any]) -> bool:
    from charrnn.models import checkpoint
    from charrnn.training import resume
    from charrnn.training.checkpoints import LAST

    with contextlib.suppress(InputError):
        if not resume.is_same_run(now, recorded(folder)):
            return False
        last = folder / "checkpoints" / LAST
        if not last.exists():
            return True
        with contextlib.suppress(InputError):
            return not checkpoint.read_run(last)[checkpoint.ENTRY]["finished"]
        return True
    return False


def _unquoted(value: str) -> str:
    """The text of a value that stands in quotes of Hydra's grammar."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _unmake(folder: Path) -> None:
    """Remove a run folder in which nothing has begun, but none that held something before."""
    with contextlib.suppress(OSError):
        for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
            (folder / ".hydra" / name).unlink(missing_ok=True)
        (folder / ".hydra").rmdir()
        (folder / ".lock").unlink(missing_ok=True)
        folder.rmdir()


def _is_run(folder: Path) -> bool:
    # a run holds its lock long before it has a checkpoint
    return (folder / ".lock").exists() or (folder / "checkpoints").is_dir()


def _occupied(folder: str) -> str:
    return (
        f"hydra.run.dir={folder}: holds a run already; resume={folder} goes on with it, "
        f"or give another folder"
    )


# -- around the run ------------------------------------------------------------------------


def _link_latest(folder: Path) -> None:
    """Let outputs/latest point to this run."""
    from charrnn.training.progress import say

    if LATEST.exists() and not LATEST.is_symlink():
        say(f"{LATEST} is no link, so it is left as it is")
        return
    temporary = LATEST.with_name(f".latest.{os.getpid()}")
    try:
        LATEST.parent.mkdir(exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(folder, LATEST.parent.resolve()))
        os.replace(temporary, LATEST)
    except OSError as error:
        say(f"{LATEST} does not link to this run ({error.strerror})")


def _say_end(folder: Path, result: Result | None, line: str | None = None) -> None:
    from charrnn.training.progress import duration, say

    shown = os.path.relpath(folder)
    shown = shown if not shown.startswith("..") else str(folder)
    if line is not None:
        say(line)
    if result is not None:
        if result.best_loss is not None:
            say(f"best validation loss {result.best_loss:.4f}, after step {result.best_step}")
        say(f"trained in {duration(result.seconds)}")
    say(f"run folder: {shown}")
    say(f"sample from it: charrnn sample checkpoint={shlex.quote(shown)}")


def _say_finished(folder: Path, start: Start) -> None:
    from charrnn.training.progress import say

    if start.path is not None and start.path.parent.parent == folder:
        _say_end(folder, None, f"{folder}: this run is finished, at step {start.step}")
        return
    _unmake(folder)
    say(
        f"{start.path}: its run is finished, at step {start.step}; a larger trainer.max_epochs or "
        f"trainer.max_steps goes on from there"
    )


def _how_to_resume(folder: Path) -> str:
    shown = shlex.quote(os.path.relpath(folder))
    if not (folder / RECORDED).is_file():
        return "the run's folder is gone"
    if any((folder / "checkpoints").glob("*.ckpt")):
        return f"the last good checkpoint stands: charrnn train resume={shown} goes on from it"
    return f"there is no checkpoint yet: charrnn train resume={shown} starts it again"
