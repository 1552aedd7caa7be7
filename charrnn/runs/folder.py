"""Lock, write and read a run folder.

.hydra/                 the decided config and the words of the command, for people
.lock                   locked by the process that trains here; contains its process id
result.json             the result so far (`charrnn.runs.result`)
checkpoints/ model.safetensors samples/ metrics.csv events.out.tfevents.* hparams.yaml report.html

The folder may come from an untrusted person, so nothing in it is interpolated or imported.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from charrnn import files
from charrnn.errors import InputError
from charrnn.runs.result import RESULT, read_result
from charrnn.say import say

METRICS, REPORT = "metrics.csv", "report.html"
# The model files of a run, the best first.
MODEL_FILES = ("model.safetensors", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
LATEST = files.OUTPUTS / "latest"
LOCK = ".lock"
SWEEP_CONFIG, LEADERBOARD = "multirun.yaml", "leaderboard.csv"  # in a sweep's folder
# Loggers and launchers have links in these folders, and charrnn does not write into them.
_FOREIGN_FOLDERS = ("wandb", "mlruns", ".submitit")


def is_run(folder: Path) -> bool:
    """Return whether a folder contains a run, which has at least begun its result."""
    with contextlib.suppress(OSError):  # the name is too long
        return read_result(folder) is not None or find_checkpoint(folder) is not None
    return False


def is_sweep(folder: Path) -> bool:
    """Return whether a folder contains a sweep."""
    return (folder / SWEEP_CONFIG).is_file() and not is_run(folder)


def find_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint from which a folder's run resumes, or None."""
    paths = [folder / "checkpoints" / name for name in ("last.ckpt", "best.ckpt")]
    return next((path for path in paths if path.exists()), None)


def find_best_file(folder: Path) -> Path | None:
    """Return the file of a run's best model, or None."""
    return next((folder / name for name in MODEL_FILES if (folder / name).is_file()), None)


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the folders of the runs in or below a folder, without following links."""
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_run(Path(place)):
            folders.clear()
            yield Path(place)


@contextlib.contextmanager
def claim(folder: Path, may_hold_run: bool) -> Iterator[None]:
    """Lock a folder during a run. Remove a new one if the run does not start.

    Raise InputError if another process trains in it, or if it holds a run and must not.
    """
    require_no_links(folder)
    lock = files.acquire_lock(folder / LOCK, wait=False)
    if lock is None:
        owner = (folder / LOCK).read_text().strip()
        raise InputError(
            f"{folder}: another charrnn (process {owner}) trains in it; wait for it, or stop it"
        )
    with lock:
        # Checked after locking, because another process may have started a run before.
        is_new = all(path.name == LOCK for path in folder.iterdir())
        try:
            if is_run(folder) and not may_hold_run:
                raise InputError(
                    f"hydra.run.dir={folder}: holds a run already; resume it with resume={folder}, "
                    f"or give another folder"
                )
            yield
        finally:
            if is_new and not is_run(folder):
                shutil.rmtree(folder, ignore_errors=True)


def require_no_links(folder: Path) -> None:
    """Raise InputError if the folder of a run or a sweep contains a link, a pipe or a device.

    Through a link, an untrusted folder could make a run overwrite other files. The folder itself
    may be a link, because the user names it.
    """
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *names)):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                kind = "a link" if stat.S_ISLNK(mode) else "not a regular file"
                raise InputError(f"{path}: is {kind}; a run does not write through it; remove it")
        folders[:] = [name for name in folders if name not in _FOREIGN_FOLDERS]


def remove_first_try(folder: Path) -> None:
    """Remove what a run without a checkpoint has written, so that another one can start there."""
    for name in (RESULT, METRICS, REPORT, "hparams.yaml", MODEL_FILES[0]):
        (folder / name).unlink(missing_ok=True)
    for events in folder.glob("events.out.tfevents.*"):
        events.unlink()
    for name in (".hydra", "checkpoints", "samples"):
        shutil.rmtree(folder / name, ignore_errors=True)


def record(folder: Path, config: dict[str, Any], words: Sequence[str]) -> None:
    """Write the config and the words of a run into its folder, and remove temporary files."""
    files.remove_temporary_files(folder)
    for name, content in {"overrides": [*words], "config": config}.items():
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        with files.replace_file(folder / ".hydra" / f"{name}.yaml") as temporary:
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def link_latest(folder: Path) -> None:
    """Replace the link outputs/latest by a link to this run."""
    temporary = LATEST.with_name(f".latest.{os.getpid()}")
    try:
        LATEST.parent.mkdir(exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(folder, LATEST.parent.resolve()))
        os.replace(temporary, LATEST)
    except OSError as error:
        say(f"{LATEST} does not link to this run ({error.strerror})")
