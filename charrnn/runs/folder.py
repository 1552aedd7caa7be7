"""A run folder: whose it is, what it records, and what leads to it.

.hydra/config.yaml      the config with every choice made; what a resume goes by
.hydra/hydra.yaml, overrides.yaml   as Hydra writes them
.lock                   held, with its number in it, by the process that trains here
checkpoints/ model.safetensors samples/ metrics.csv tensorboard/

Another person may have made a record. Nothing in it is interpolated, imported or fetched here;
`charrnn.cli.resuming` decides what of it a run may build.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import yaml

from charrnn import files
from charrnn.errors import InputError, shorten, to_one_line
from charrnn.say import say

Config = dict[str, Any]
RECORDED = Path(".hydra") / "config.yaml"
LATEST = files.OUTPUTS / "latest"
LARGEST_CONFIG, LARGEST_RECORD = 1 << 22, 100_000  # bytes, tokens of JSON
MISSING = object()
# folders in which loggers and launchers keep links of their own, and charrnn writes nothing
_FOREIGN_FOLDERS = ("wandb", "mlruns", ".submitit")


def is_run(folder: Path) -> bool:
    """Whether a run stands in a folder."""
    # a run that is killed before its config is written counts as not started
    with contextlib.suppress(OSError):  # a name that is too long for a folder
        return (folder / RECORDED).is_file() or (folder / "checkpoints").is_dir()
    return False


def is_sweep(folder: Path) -> bool:
    """Whether a sweep was begun in a folder."""
    return (folder / "multirun.yaml").is_file() and not is_run(folder)


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
    lock = files.acquire_lock(folder / ".lock", wait=False)
    if lock is None:
        owner = (folder / ".lock").read_text().strip()
        raise InputError(f"{folder}: another charrnn (process {owner}) is training in it")
    return lock


@contextlib.contextmanager
def claim(folder: Path, resumes: bool) -> Iterator[None]:
    """Hold a folder for a run of this process; a new one in which no run begins is removed.

    Args:
        resumes: whether the run goes on with the one that stands in the folder.

    Raises:
        InputError: the folder holds a link or another run, or another process trains in it.
    """
    require_no_links(folder)
    with lock(folder):
        # another process may have begun a run before the lock was taken
        is_new = _is_empty(folder)
        try:
            if not resumes:
                refuse_run(folder)
            yield
        except InputError:
            if is_new and not any(folder.glob("checkpoints/*.ckpt")):
                _clear(folder)
            raise
        else:
            with contextlib.suppress(OSError):
                if is_new and _is_empty(folder):
                    (folder / ".lock").unlink(missing_ok=True)
                    folder.rmdir()


def _is_empty(folder: Path) -> bool:
    """Return whether a folder holds nothing but its lock."""
    return all(path.name == ".lock" for path in folder.iterdir())


def _clear(folder: Path) -> None:
    """Remove all that a refused run has left in a folder that was empty."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def require_no_links(folder: Path) -> None:
    """Raise InputError if a folder that is to be written in holds a link, a pipe or a device.

    Whoever made the folder could have put it there, for what is written to end elsewhere. The
    folder itself may be a link: the user names it.
    """
    for place, folders, names in os.walk(folder):
        for path in (os.path.join(place, name) for name in (*folders, *names)):
            mode = os.lstat(path).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                what = "a link" if stat.S_ISLNK(mode) else "no regular file"
                raise InputError(f"{path}: is {what}, and is not written through; remove it")
        folders[:] = [name for name in folders if name not in _FOREIGN_FOLDERS]


def record(
    folder: Path, config: Config, overrides: Sequence[str], hydra: Mapping[str, Any]
) -> None:
    """Write the config of a run into its folder, as Hydra does.

    The files that a killed process has left half written are removed.
    """
    files.remove_temporary_files(folder)
    contents = {"hydra": {"hydra": hydra}, "overrides": list(overrides), "config": config}
    for name, content in contents.items():
        path = folder / ".hydra" / f"{name}.yaml"
        if name in ("hydra", "overrides") and path.exists():
            continue  # the record of the run's beginning stays
        with files.replace_file(path) as temporary:
            temporary.write_text(
                # what stands in two places twice: an alias would not be read
                yaml.safe_dump(
                    json.loads(json.dumps(content)), sort_keys=False, allow_unicode=True
                ),
                encoding="utf-8",
                errors="surrogateescape",
            )


def find_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint from which the run of a folder resumes; None if there is none."""
    paths = [folder / "checkpoints" / name for name in ("last.ckpt", "best.ckpt")]
    return next((path for path in paths if path.exists()), None)


class _Loader(yaml.SafeLoader):
    """Reads no aliases: a few lines of them stand for more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it holds an alias, which no record does")
        return super().compose_node(parent, index)


def recorded(folder: Path) -> Config:
    """The config of a run folder: plain values, in which nothing is looked up.

    Raises:
        InputError: it cannot be read, or holds more than plain values.
    """
    path = folder / RECORDED
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: cannot be read (it is no mapping)")
    config: Config = plain({shorten(name): value for name, value in content.items()}, str(path))
    return config


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, without aliases.

    Raises:
        InputError: it cannot be read, or is no plain file.
    """
    try:
        # before it is opened: a pipe would be waited for
        if not path.is_file() or path.stat().st_size > LARGEST_CONFIG:
            raise ValueError("it is no file, or too large")
        return yaml.load(path.read_bytes(), Loader=_Loader)
    except Exception as error:  # YAML raises many kinds
        raise InputError(f"{path}: cannot be read ({to_one_line(error)})") from None


def plain(value: Any, source: str) -> Any:
    """A copy of plain values: texts, numbers, lists, and mappings of them.

    Raises:
        InputError: there is something else, or more than a config can hold, as where it
            refers to itself.
    """
    try:
        tokens = itertools.islice(json.JSONEncoder().iterencode(value), LARGEST_RECORD)
        return json.loads("".join(tokens))  # which is no JSON where more than that was cut off
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: is no record of plain values ({to_one_line(error)})") from None


def escaped(value: Any, times: int = 1) -> Any:
    """Plain values as OmegaConf has to read them to leave them as they are.

    Args:
        times: how often they are resolved.
    """
    if isinstance(value, dict):
        return {name: escaped(part, times) for name, part in value.items()}
    if isinstance(value, list):
        return [escaped(part, times) for part in value]
    if value == "???":
        return "${oc.decode:\"'???'\"}"
    if isinstance(value, str):
        for _ in range(times):
            value = re.sub(r"(\\*)\$\{", lambda run: run[1] * 2 + r"\${", value)
    return value


def select(config: Any, key: str) -> Any:
    """The value of a dotted key; MISSING where there is none."""
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return MISSING
        config = config[part]
    return config


def link_latest(folder: Path) -> None:
    """Let outputs/latest point to this run."""
    temporary = LATEST.with_name(f".latest.{os.getpid()}")
    try:
        LATEST.parent.mkdir(exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(folder, LATEST.parent.resolve()))
        os.replace(temporary, LATEST)
    except OSError as error:
        say(f"{LATEST} does not link to this run ({error.strerror})")
