"""`charrnn train`: from a composed config to a run folder.

a new run         the folder that Hydra made
resume=FOLDER     the same folder, its recorded config, its newest whole checkpoint
resume=X.ckpt     a new folder, the config in the checkpoint
resume=auto       the newest unfinished run of this config, else a new one
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.errors import InputError, Interrupted, RunError
from charrnn.options import TrainOptions

if TYPE_CHECKING:
    from charrnn.training.run import Result, Start
    from charrnn.training.signals import Signals

RECORDED = Path(".hydra") / "config.yaml"
LATEST = Path("outputs") / "latest"
# tells the processes that Lightning starts beside the first where the run is
FOLDER_VARIABLE = "CHARRNN_RUN_FOLDER"


def prepare_overrides(overrides: list[str]) -> list[str]:
    """Overrides that let Hydra's run folder be the folder of this run."""
    if FOLDER_VARIABLE in os.environ:
        return overrides
    values = dict(o.split("=", 1) for o in overrides if "=" in o)
    resume, folder = values.get("resume"), values.get("hydra.run.dir")
    added = []
    if folder is None and _launcher() == "slurm":
        folder = f"outputs/train/slurm-{os.environ['SLURM_JOB_ID']}"
        added.append(f"hydra.run.dir={folder}")
    if folder is None and resume is None and _launcher() == "torchrun" and _world_size() > 1:
        raise InputError(
            "hydra.run.dir: torchrun's processes cannot agree on a new folder by themselves; "
            "give it: hydra.run.dir=outputs/train/NAME"
        )
    if resume is None and folder is not None and _is_run(Path(folder)):
        if not _restarted():
            raise InputError(_occupied(folder))
        resume = folder
        added.append(f"resume={resume}")
    if resume is not None and os.path.isdir(resume):
        added.append(f"hydra.run.dir={resume}")
        # what Hydra would write there is the recorded config, which must survive
        added.append("hydra.output_subdir=null")
    elif _external_rank() > 0:
        added.append("hydra.output_subdir=null")
    return overrides + added


def run(options: TrainOptions) -> None:
    """Train, and say where the result is."""
    from charrnn.training.signals import Signals

    with Signals() as signals:
        try:
            _run(options, signals)
        except Interrupted:
            if _launcher() == "slurm" and _external_rank() == 0:
                _requeue()
            raise


def _run(options: TrainOptions, signals: Signals) -> None:
    from charrnn import files
    from charrnn.data import open_data
    from charrnn.text.prepare import prepare
    from charrnn.training.progress import say

    folder, config, start = _beginning(options)
    leads = FOLDER_VARIABLE not in os.environ and _external_rank() == 0
    held = None
    if leads:
        held = files.lock(folder / ".lock", wait=False)
        if held is None:
            owner = (folder / ".lock").read_text().strip()
            raise InputError(f"{folder}: another charrnn (process {owner}) is training in it")
    try:
        if start.entry.get("finished") and not _extended(config, start):
            _say_end(folder, None, f"{folder}: this run is finished, at step {start.step}")
            return
        data = open_data(*prepare(_options(config).data, say))
        config = _with_choices_made(config)
        if leads:
            _record(folder, config)
            _link_latest(folder)
            os.environ[FOLDER_VARIABLE] = str(folder)
        if start.path is not None and leads:
            say(f"going on from {start.path}, step {start.step}")
        from charrnn.training.run import train

        result = train(_options(config), config, data, folder, start, signals)
        if leads:
            _say_end(folder, result)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}; {_how_to_resume(folder)}", stopped.signum) from None
    except RunError as error:
        raise RunError(f"{error}; {_how_to_resume(folder)}") from error
    finally:
        if leads:
            os.environ.pop(FOLDER_VARIABLE, None)
        if held is not None:
            held.close()


# -- where a run begins ----------------------------------------------------------------


def _beginning(options: TrainOptions) -> tuple[Path, dict[str, Any], Start]:
    """The run's folder, its config as plain values, and the checkpoint that it goes on from."""
    from omegaconf import OmegaConf

    from charrnn import checkpoint
    from charrnn.commands import compose
    from charrnn.training import resume
    from charrnn.training.run import Start

    now = _absolute(_plain(OmegaConf.to_container(compose.composed_config())))
    given = [_key(override) for override in compose.task_overrides()]
    folder = compose.run_dir()
    parent_folder = os.environ.get(FOLDER_VARIABLE)
    if parent_folder is not None:
        path = Path(parent_folder)
        if options.resume not in (None, "auto") and Path(str(options.resume)).is_file():
            file = Path(str(options.resume))
            return path, _recorded(path), Start(file, checkpoint.read(file))
        return path, _recorded(path), _newest(path)
    if options.resume is None:
        if _is_run(folder):
            raise InputError(_occupied(str(folder)))
        return folder, now, Start()
    if options.resume == "auto":
        for found in resume.run_folders(folder.parent.parent):
            if found != folder and _is_unfinished(found, now):
                shutil.rmtree(folder, ignore_errors=True)
                return found, _recorded(found), _newest(found)
        return folder, {**now, "resume": None}, Start()
    target = Path(options.resume)
    if target.is_dir():
        folder = target.resolve()
        if not (folder / RECORDED).is_file():
            raise InputError(
                f"{target}: not a run folder (it has no {RECORDED}); "
                f"give one that `charrnn train` made, or a .ckpt"
            )
        return folder, resume.merged(_recorded(folder), now, given), _newest(folder)
    content = checkpoint.read(target)
    config = resume.merged(content[checkpoint.ENTRY]["config"], now, given)
    return folder, config, Start(target.resolve(), content)


def _newest(folder: Path) -> Start:
    from charrnn.training.checkpoints import newest_usable
    from charrnn.training.progress import say
    from charrnn.training.run import Start

    usable = newest_usable(folder)
    for note in usable.notes:
        say(note)
    if usable.path is None:
        say(f"{folder}: has no checkpoint yet; the run starts from its beginning")
    return Start(usable.path, usable.content)


def _is_unfinished(folder: Path, now: dict[str, Any]) -> bool:
    from charrnn import checkpoint
    from charrnn.training import resume
    from charrnn.training.checkpoints import LAST

    with contextlib.suppress(InputError):
        if not resume.is_same_run(now, _recorded(folder)):
            return False
        last = folder / "checkpoints" / LAST
        if not last.exists():
            return True
        with contextlib.suppress(InputError):
            return not checkpoint.read(last)[checkpoint.ENTRY]["finished"]
        return True
    return False


def _extended(config: dict[str, Any], start: Start) -> bool:
    """Whether the config now asks for more than the finished run's did."""
    names = ("max_epochs", "max_steps")
    before, after = start.entry["config"], config
    changed = any(before["trainer"][n] != after["trainer"][n] for n in names)
    return changed or before["callbacks"]["patience"] != after["callbacks"]["patience"]


def _is_run(folder: Path) -> bool:
    return (folder / "checkpoints").is_dir()


def _occupied(folder: str) -> str:
    return (
        f"hydra.run.dir={folder}: holds a run already; resume={folder} goes on with it, "
        f"or give another folder"
    )


# -- the config --------------------------------------------------------------------------


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def _plain(config: Any) -> dict[str, Any]:
    return {str(name): value for name, value in config.items() if name != "experiment"}


def _absolute(config: dict[str, Any]) -> dict[str, Any]:
    """The config with its paths absolute, so that a resume may stand in any folder."""
    data = dict(config["data"])
    for name in ("input_txt", "input_h5", "input_json"):
        value = data[name]
        if isinstance(value, list):
            data[name] = [os.path.abspath(v) for v in value]
        elif value is not None:
            data[name] = os.path.abspath(value)
    init_from = config["init_from"]
    if init_from is not None:
        init_from = os.path.abspath(init_from)
    return {**config, "data": data, "init_from": init_from}


def _options(config: dict[str, Any]) -> TrainOptions:
    """The config as its dataclass, every value checked."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        options = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainOptions), config))
    except OmegaConfBaseException as error:
        raise InputError(
            f"the recorded config does not fit: {str(error).splitlines()[0]}"
        ) from None
    assert isinstance(options, TrainOptions)
    return options


def _with_choices_made(config: dict[str, Any]) -> dict[str, Any]:
    """The config with everything automatic decided: device, precision, threads, seed, network."""
    import secrets

    from charrnn.training import hardware
    from charrnn.training.initial import adopt_architecture

    options = _options(config)
    if options.init_from is not None:
        from charrnn.commands import compose

        keys = [_key(override) for override in compose.task_overrides()]
        given = {key.removeprefix("model.") for key in keys if key.startswith("model.")}
        given |= {"kind"} if "model" in keys else set()
        options.model = adopt_architecture(options.init_from, options.model, given)
    trainer = hardware.resolve(options.trainer, options.model, options.data.batch_size)
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    return {
        **config,
        "model": asdict(options.model),
        "trainer": asdict(trainer),
        "seed": seed,
        "resume": None,
    }


def _recorded(folder: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf

    path = folder / RECORDED
    try:
        return _plain(OmegaConf.to_container(OmegaConf.load(path)))
    except Exception as error:  # YAML and OmegaConf raise many kinds
        what = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read ({what})") from None


def _record(folder: Path, config: dict[str, Any]) -> None:
    from omegaconf import OmegaConf

    from charrnn.files import replacing

    with replacing(folder / RECORDED) as temporary:
        OmegaConf.save(OmegaConf.create(config), temporary)


# -- around the run ------------------------------------------------------------------------


def _link_latest(folder: Path) -> None:
    """Let outputs/latest point to this run."""
    from charrnn.training.progress import say

    if LATEST.exists() and not LATEST.is_symlink():
        say(f"{LATEST} is no link, so it is left as it is")
        return
    LATEST.parent.mkdir(exist_ok=True)
    temporary = LATEST.with_name(f".latest.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(folder, LATEST.parent.resolve()))
    os.replace(temporary, LATEST)


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
    say(f"sample from it: charrnn sample checkpoint={shown}")


def _how_to_resume(folder: Path) -> str:
    from charrnn.training.checkpoints import LAST

    shown = os.path.relpath(folder)
    if (folder / "checkpoints" / LAST).exists():
        return f"the last good checkpoint stands: charrnn train resume={shown} goes on from it"
    return f"there is no checkpoint yet: charrnn train resume={shown} starts it again"


# -- other launchers -----------------------------------------------------------------------


def _launcher() -> str | None:
    """What else may have started this process beside others: slurm (srun) or torchrun."""
    if "SLURM_JOB_ID" in os.environ and "SLURM_PROCID" in os.environ:
        return "slurm"
    return "torchrun" if "TORCHELASTIC_RUN_ID" in os.environ else None


def _external_rank() -> int:
    name = {"slurm": "SLURM_PROCID", "torchrun": "RANK"}.get(_launcher() or "")
    return int(os.environ.get(name, 0)) if name else 0


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE") or 1)


def _restarted() -> bool:
    """Whether SLURM or torchrun started this job again after it was interrupted."""
    names = {"slurm": "SLURM_RESTART_COUNT", "torchrun": "TORCHELASTIC_RESTART_COUNT"}
    return int(os.environ.get(names.get(_launcher() or "", ""), 0) or 0) > 0


def _requeue() -> None:
    from charrnn.training.progress import say

    job = os.environ["SLURM_JOB_ID"]
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    if done.returncode == 0:
        say(f"SLURM job {job} is queued again")
    else:
        say(f"SLURM job {job} could not be queued again: {done.stderr.strip()}")
