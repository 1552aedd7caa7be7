"""Lock, write and read a run folder.

.hydra/                 the decided config, Hydra's node and the words of the command, for people
.lock                   locked by the process that trains here; contains its process id
result.json             the metric that a sweep minimizes, and its value
checkpoints/ model.safetensors samples/ metrics.csv events.out.tfevents.* hparams.yaml report.html

The folder may come from an untrusted person, so nothing in it is interpolated or imported.
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
RESULT = "result.json"
# The model files of a run, the best first.
MODEL_FILES = ("model.safetensors", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
LATEST = files.OUTPUTS / "latest"
LOCK = ".lock"
SWEEP_CONFIG, LEADERBOARD = "multirun.yaml", "leaderboard.csv"  # in a sweep's folder
LARGEST_CONFIG, LARGEST_RECORD = 1 << 22, 100_000  # bytes, tokens of JSON
MISSING = object()
MISSING_TEXT = "${oc.decode:\"'???'\"}"  # the text "???", in OmegaConf's syntax
# Loggers and launchers have links in these folders, and charrnn does not write into them.
_FOREIGN_FOLDERS = ("wandb", "mlruns", ".submitit")


def is_run(folder: Path) -> bool:
    """Return whether a folder contains a run, which has at least written its config."""
    with contextlib.suppress(OSError):  # the name is too long
        return (folder / RECORDED).is_file() or (folder / "checkpoints").is_dir()
    return False


def is_sweep(folder: Path) -> bool:
    """Return whether a folder contains a sweep."""
    return (folder / SWEEP_CONFIG).is_file() and not is_run(folder)


def require_no_run(folder: Path) -> None:
    """Raise InputError if a folder contains a run."""
    if is_run(folder):
        raise InputError(
            f"hydra.run.dir={folder}: holds a run already; resume it with resume={folder}, or give "
            f"another folder"
        )


def _lock(folder: Path) -> IO[str]:
    """Lock a folder for this process. Raise InputError if another process trains in it."""
    file = files.acquire_lock(folder / LOCK, wait=False)
    if file is None:
        owner = (folder / LOCK).read_text().strip()
        process = f"process {owner}" if owner else "which has just started"
        raise InputError(
            f"{folder}: another charrnn ({process}) is training in it; wait for it, or stop it"
        )
    return file


@contextlib.contextmanager
def claim(folder: Path, may_hold_run: bool) -> Iterator[None]:
    """Lock a folder during a run. Remove a new folder in which no run starts."""
    require_no_links(folder)
    with _lock(folder):
        # Checked after locking, because another process may have started a run before.
        is_new = _is_empty(folder)
        try:
            if not may_hold_run:
                require_no_run(folder)
            yield
        except InputError:
            if is_new and not any(folder.glob("checkpoints/*.ckpt")):
                _clear(folder)
            raise
        finally:
            with contextlib.suppress(OSError):
                if is_new and _is_empty(folder):
                    (folder / LOCK).unlink(missing_ok=True)
                    folder.rmdir()


def _is_empty(folder: Path) -> bool:
    """Return whether a folder contains only its lock."""
    return all(path.name == LOCK for path in folder.iterdir())


def _clear(folder: Path) -> None:
    """Remove the contents of a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def prepare_sweep(folder: Path) -> None:
    """Remove links in the place of the files that a sweep writes. ``cp -al`` makes hard links."""
    for path in (folder / SWEEP_CONFIG, folder / LEADERBOARD):
        if os.path.lexists(path) and not files.is_plain_file(path):
            path.unlink()


def require_no_link_below(root: Path, folder: Path) -> None:
    """Raise InputError if a folder below `root`, or a folder between them, is a link."""
    path = root
    for name in folder.relative_to(root).parts if root in folder.parents else ():
        path /= name
        if path.is_symlink():
            raise InputError(f"{path}: is a link; a sweep does not write through it; remove it")


def require_no_links(folder: Path) -> None:
    """Raise InputError if a folder contains a link, a pipe or a device.

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
    """Remove what a run without a checkpoint has written, so that another one begins there."""
    for name in (RESULT, "metrics.csv", "hparams.yaml", "report.html", MODEL_FILES[0]):
        (folder / name).unlink(missing_ok=True)
    for events in folder.glob("events.out.tfevents.*"):
        events.unlink()
    for name in (".hydra", "checkpoints", "samples"):
        shutil.rmtree(folder / name, ignore_errors=True)


def record(
    folder: Path, config: Config, overrides: Sequence[str], hydra: Mapping[str, Any]
) -> None:
    """Write the config of a run into its folder, like Hydra, and remove temporary files."""
    files.remove_temporary_files(folder)
    contents = {"hydra": {"hydra": hydra}, "overrides": list(overrides), "config": config}
    for name, content in contents.items():
        path = folder / ".hydra" / f"{name}.yaml"
        if name != "config" and path.exists():
            continue  # a resume does not overwrite the other files of the first start
        copy = json.loads(json.dumps(content))  # without shared objects, which YAML would alias
        text = yaml.safe_dump(copy, sort_keys=False, allow_unicode=True)
        with files.replace_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_result(folder: Path, metric: str | None, value: float | None) -> None:
    """Write the metric that a sweep minimizes, and its value in this run."""
    with files.replace_file(folder / RESULT) as temporary:
        temporary.write_text(json.dumps({"optimized_metric": metric, "value": value}) + "\n")


def read_result(folder: Path) -> tuple[str | None, float | None]:
    """Return the metric that a sweep minimizes and its value; None before the run's end."""
    with contextlib.suppress(OSError, ValueError, RecursionError, OverflowError):
        if files.is_plain_file(folder / RESULT) and (folder / RESULT).stat().st_size < 10_000:
            content = json.loads((folder / RESULT).read_text("utf-8"))
            if isinstance(content, dict) and isinstance(content.get("optimized_metric"), str):
                value: Any = content.get("value")
                is_number = type(value) in (int, float)
                return content["optimized_metric"], float(value) if is_number else None
    return None, None


def find_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint from which a folder's run resumes, or None."""
    paths = [folder / "checkpoints" / name for name in ("last.ckpt", "best.ckpt")]
    return next((path for path in paths if path.exists()), None)


class _Loader(yaml.SafeLoader):
    """A loader that refuses aliases, because a few lines of them can expand without limit."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases are not allowed")
        return super().compose_node(parent, index)


def read_config(folder: Path) -> Config:
    """Return the config of a run folder as plain values, without resolving interpolations."""
    path = folder / RECORDED
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: cannot be read (it is no mapping)")
    # A key of YAML may be a date or a long number; as a short text, it can be in an error.
    return to_plain({shorten(name): value for name, value in content.items()}, str(path))


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file without aliases. Raise InputError if this fails."""
    try:
        # Checked before opening, because opening a named pipe would block.
        if not path.is_file() or path.stat().st_size > LARGEST_CONFIG:
            raise ValueError("it is no file, or too large")
        return yaml.load(path.read_bytes(), Loader=_Loader)
    except Exception as error:  # YAML raises many kinds
        raise InputError(f"{path}: cannot be read ({to_one_line(error)})") from None


def to_plain(value: Any, source: str) -> Any:
    """Return a copy of plain values. Raise InputError for others, for a cycle, and for too many."""
    try:
        tokens = itertools.islice(json.JSONEncoder().iterencode(value), LARGEST_RECORD)
        return json.loads("".join(tokens))  # fails if tokens are cut off
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: is no record of plain values ({to_one_line(error)})") from None


def escape_interpolations(value: Any, times: int = 1) -> Any:
    """Escape plain values so that OmegaConf, which resolves them `times` times, returns them."""
    if isinstance(value, dict):
        return {name: escape_interpolations(item, times) for name, item in value.items()}
    if isinstance(value, list):
        return [escape_interpolations(item, times) for item in value]
    if value == "???":  # OmegaConf's mark of a missing value, which has no escape
        return MISSING_TEXT
    if isinstance(value, str):
        for _ in range(times):
            value = re.sub(r"(\\*)\$\{", lambda run: run[1] * 2 + r"\${", value)
    return value


def has_interpolation(value: Any) -> bool:
    """Return whether a value is a text in which OmegaConf resolves ``${...}``."""
    is_text = isinstance(value, str) and value != MISSING_TEXT
    # after an even number of backslashes, which escape it
    return is_text and re.search(r"(?<!\\)(?:\\\\)*\$\{", value) is not None


def unescape_interpolations(text: str) -> str:
    """Return the text that OmegaConf reads in a record, in which no interpolation is left."""
    return re.sub(r"(\\+)\$\{", lambda run: run[1][: len(run[1]) // 2] + "${", text)


def select(config: Any, key: str) -> Any:
    """Return the value of a dotted key, or MISSING."""
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return MISSING
        config = config[part]
    return config


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
