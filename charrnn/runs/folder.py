"""A run folder: whose it is, what it records, and what leads to it.

.hydra/config.yaml      the config with every choice made; what a resume goes by
.hydra/hydra.yaml, overrides.yaml   as Hydra writes them
.lock                   held, with its number in it, by the process that trains here
checkpoints/ model.safetensors samples/ metrics.csv tensorboard/
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import IO, Any

import yaml

from charrnn import files
from charrnn.errors import InputError
from charrnn.runs.request import Config, Request
from charrnn.say import say

RECORDED = Path(".hydra") / "config.yaml"
LATEST = Path("outputs") / "latest"
LARGEST_CONFIG = 1 << 22  # bytes
# where a text may hold what would be an interpolation elsewhere: it is a path, and stays one
PATHS = ("data.input_txt", "data.input_h5", "data.input_json", "init_from", "distill_from")


def is_run(folder: Path) -> bool:
    """Whether a run stands in a folder."""
    # one that was killed before this is recorded has not begun
    return (folder / RECORDED).is_file() or (folder / "checkpoints").is_dir()


def refuse_run(folder: Path) -> None:
    """Raise InputError if a run stands in a folder."""
    if is_run(folder):
        raise InputError(
            f"hydra.run.dir={folder}: holds a run already; resume={folder} goes on with it, "
            f"or give another folder"
        )


def lock(folder: Path) -> IO[str]:
    """Take the folder for this process.

    Raises:
        InputError: another process trains in it.
    """
    held = files.lock(folder / ".lock", wait=False)
    if held is None:
        owner = (folder / ".lock").read_text().strip()
        raise InputError(f"{folder}: another charrnn (process {owner}) is training in it")
    return held


def record(folder: Path, config: Config, request: Request) -> None:
    """Let the folder hold the config of its run, as Hydra's folders do."""
    hydra = {"hydra": request.hydra}
    contents = (("hydra", hydra), ("overrides", list(request.overrides)), ("config", config))
    for name, content in contents:
        path = folder / ".hydra" / f"{name}.yaml"
        if name != "config" and path.exists():
            continue  # what it was begun with stays
        with files.replacing(path) as temporary:
            temporary.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True),
                                 encoding="utf-8", errors="surrogateescape")  # fmt: skip


def recorded(folder: Path) -> Config:
    """The config of a run folder: plain values, in which nothing is looked up.

    Raises:
        InputError: it cannot be read, or holds what would have to be looked up.
    """
    path = folder / RECORDED
    config = read_config(path)
    refuse_interpolations(config, str(path))
    return config


def job_id(folder: Path) -> str:
    """What a launcher called the job of a sweep that began this run; "" if none did."""
    with contextlib.suppress(InputError, KeyError, TypeError):
        return str(read_config(folder / ".hydra" / "hydra.yaml")["hydra"]["job"]["id"])
    return ""


def read_config(path: Path) -> dict[str, Any]:
    """A YAML file as plain values.

    Raises:
        InputError: it cannot be read, or holds no mapping.
    """
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_CONFIG:
            raise ValueError("it is no file, or too large")
        content = yaml.safe_load(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it is no mapping")
    except Exception as error:  # YAML raises many kinds
        what = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read ({what})") from None
    return {
        str(name): value for name, value in content.items() if name not in ("experiment", "debug")
    }


def refuse_interpolations(config: Any, source: str, prefix: str = "") -> None:
    """Raise InputError if a config that was read holds an interpolation.

    What is recorded is resolved. One in a stranger's run could send what it finds, in the
    environment say, to an address of the stranger's.
    """
    if isinstance(config, dict):
        for name, value in config.items():
            refuse_interpolations(value, source, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(config, list):
        for value in config:
            refuse_interpolations(value, source, prefix)
    elif isinstance(config, str) and "${" in config and prefix not in PATHS:
        raise InputError(f"{source}: {prefix} holds ${{...}}, which no run records; remove it")


def link_latest(folder: Path) -> None:
    """Let outputs/latest point to this run."""
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


def unmake(folder: Path) -> None:
    """Remove a run folder in which nothing has begun, but none that held something before."""
    with contextlib.suppress(OSError):
        (folder / ".lock").unlink(missing_ok=True)
        folder.rmdir()


def empty(folder: Path) -> None:
    """Remove what a run that was refused after all has left in a folder that it was given empty."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def run_folders(parent: Path) -> list[Path]:
    """The run folders below `parent` (DATE/TIME), newest first."""
    found = [path.parent.parent for path in parent.glob("*/*/.hydra/config.yaml")]
    return sorted(found, key=lambda folder: (folder.parent.name, folder.name), reverse=True)
