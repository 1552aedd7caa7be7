"""What a training checkpoint (.ckpt) holds, and how one is read safely.

A checkpoint is Lightning's: a zip that torch.save wrote. Beside Lightning's own entries it has
one of ours, `ENTRY`, with what a model, or the exact resume of a run, needs. What `charrnn
train` writes ends in a checksum over the whole file, `seal`; what Lightning's ModelCheckpoint
writes in a script of one's own has none, and then the zip's checksums of its records are looked
at, since torch.load ignores them and a flipped bit in a weight would load silently.

Defended against: code in the pickle (`weights_only=True`, and never anything else), damage of
every kind, files that are endless or no files, compressed records that swell, and entries of a
wrong shape or type. Not defended against: tensors and values of one's own making (whoever can
write a checkpoint can make it hold any weights, and any numbers to go on from), and a pickle
that is slow to load.

This module needs torch but not Lightning.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import stat
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from charrnn.errors import InputError, one_line
from charrnn.models.trained import (
    Architecture,
    TrainedModel,
    architecture_from,
    check_weights,
)
from charrnn.registry import UnknownKind
from charrnn.text.vocabulary import Vocabulary

ENTRY = "charrnn"
FORMAT_VERSION = 1
NETWORK_PREFIX = "network."
COMPILED_PREFIX = "_orig_mod."  # of what torch.compile wraps

# far more than anything nests that is written
MOST_LEVELS = 100
MOST_VALUES = 100_000  # of a config


# of the file that was read last, until a run has taken it up: a resume asks for its config, then
# for its step, and at last for its weights
_last_read: dict[tuple[int, ...], dict[str, Any]] = {}


class Damaged(InputError):
    """A file that is no whole checkpoint: torn, changed, or never one."""


class _Foreign(Exception):
    """A whole file that is not for this program."""


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; there is a model in it.

    Raises:
        Damaged: it is not whole; the line names the file and what is wrong with it.
        InputError: it cannot be read here, or is another program's or version's.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is no regular file")
        if (known := _last_read.get(_identity(path))) is not None:
            return known
        with path.open("rb") as file:
            _check_whole(file)
            return _checked(_loaded(file))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except _Foreign as error:
        raise InputError(f"{path}: {error}") from None
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise InputError(f"{path}: cannot be read (there is too little memory)") from None
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        # EINVAL comes of a false directory; zipfile and torch may fail in any way otherwise
        raise Damaged(f"{path}: not a charrnn checkpoint, or damaged ({one_line(error)})") from None


def _loaded(file: IO[bytes]) -> Any:
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pickle's protocol
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            # torch's message advises to load it without weights_only
            raise ValueError("it holds more than tensors and plain values") from None


def read_run(path: Path) -> dict[str, Any]:
    """The content of a checkpoint that a run can go on from; it is read once.

    The next `read` of that file gives the same object, which nobody changes before it is forgotten.

    Raises:
        Damaged, InputError: as `read`; or it holds a model only.
    """
    content = read(path)
    try:
        _check_run(content)
    except ValueError as error:
        raise InputError(
            f"{path}: holds a model, but not a run to go on with ({error}); "
            f"init_from= starts a new run from its weights"
        ) from None
    forget()
    _last_read[_identity(path)] = content
    return content


def forget() -> None:
    """Let go of what `read_run` keeps of the last file for the next that asks for it."""
    _last_read.clear()


def _identity(path: Path) -> tuple[int, ...]:
    of = path.stat()
    return of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get(ENTRY), dict):
        raise _Foreign("a checkpoint of another program, not charrnn's")
    entry = content[ENTRY]
    version = entry.get("version")
    if type(version) is int and version != FORMAT_VERSION:
        raise _Foreign(
            f"a checkpoint of version {one_line(version)}, and this charrnn reads {FORMAT_VERSION}"
        )
    _require("", content, {"state_dict": dict})
    _require("", entry, {"version": int, "architecture": dict, "tokens": list, "facts": dict})
    _require_tree(content)
    return {**content, "state_dict": dict(content["state_dict"])}


# -- whether every entry is what is made of it ----------------------------------------------

# In `kinds` below a type stands for itself, a tuple for any of its types, and a dict for a dict
# that has these entries. A number is below 2**63, as every number is that is counted here.
_COUNTS = dict.fromkeys(("ready", "started", "processed", "completed"), int)
_PROGRESS = {"total": _COUNTS, "current": _COUNTS}
# what is read of Lightning's loops; the rest is Lightning's to read
_LOOPS = {
    "fit_loop": {
        "epoch_progress": _PROGRESS,
        "epoch_loop.batch_progress": {**_PROGRESS, "is_last_batch": bool},
    }
}
_GROUPS = ("data", "model", "trainer", "optimizer", "schedule", "callbacks", "logger")
_RANK = {"state": list, "cpu": Tensor, "cuda": (Tensor, type(None))}


def _check_run(content: dict[str, Any]) -> None:
    """Raise ValueError unless a run can go on from a checkpoint that has a model in it."""
    _require("", content, {"optimizer_states": list, "loops": _LOOPS, "global_step": int})
    for number, state in enumerate(content["optimizer_states"]):
        _require(f"optimizer_states.{number}.", state, {"state": dict, "param_groups": list})
    entry = content[ENTRY]
    _require(
        "",
        entry,
        {
            "config": dict.fromkeys(_GROUPS, dict),
            "fingerprint": str,
            "finished": bool,
            "sizes": list,
            "ranks": list,
            "best": {"loss": (float, int), "step": int},
        },
    )
    _require_plain("config", entry["config"])
    if not content["optimizer_states"] or content["global_step"] < 0 or entry["best"]["step"] < 0:
        raise ValueError("its steps are missing or below 0")
    if [type(size) for size in entry["sizes"]] != [int, int] or min(entry["sizes"]) < 1:
        raise ValueError("its sizes are not those of a window")
    if not entry["ranks"]:
        raise ValueError("its ranks are none")
    architecture = _parts_of_model(content)[0]
    for number, rank in enumerate(entry["ranks"]):
        _require(f"ranks.{number}.", rank, _RANK)
        _check_carried(rank["state"], architecture)
        for name in ("cpu", "cuda"):
            if rank[name] is not None and rank[name].dtype != torch.uint8:
                raise ValueError(f"its ranks.{number}.{name} is no state of random numbers")


def _check_carried(state: list[Any], architecture: Architecture) -> None:
    """Raise ValueError unless streams can go on from a state; empty is one that never began."""
    if not state:
        return
    wrong = ValueError("its carried state is not that of its network")
    if not all(
        isinstance(layer, (list, tuple)) and all(isinstance(part, Tensor) for part in layer)
        for layer in state
    ):
        raise wrong
    rows = {part.shape[:1] for layer in state for part in layer}
    own = architecture.zero_state(0)
    found = [[part.shape[1:] for part in layer] for layer in state]
    numbers = all(part.is_floating_point() for layer in state for part in layer)
    if len(rows) > 1 or found != [[part.shape[1:] for part in x] for x in own]:
        raise wrong
    if not numbers and not architecture.is_own:
        raise wrong


def _require(where: str, values: Any, kinds: dict[str, Any]) -> None:
    """Raise ValueError unless `values` is a dict with entries of these kinds."""
    if not isinstance(values, dict):
        raise ValueError(f"its {where.rstrip('.')} is missing or of a wrong type")
    for name, kind in kinds.items():
        value = values.get(name)
        if isinstance(kind, dict):
            _require(f"{where}{name}.", value, kind)
            continue
        # True is an int to isinstance
        is_bool = isinstance(value, bool) and kind is not bool
        is_huge = isinstance(value, int) and not -(2**63) <= value < 2**63
        if not isinstance(value, kind) or is_bool or is_huge:
            raise ValueError(f"its {where}{name} is missing or of a wrong type")


def _require_tree(content: Any) -> None:
    """Raise ValueError if something holds itself, or nests deeper than anything that is written."""
    level = [content]
    for _ in range(MOST_LEVELS):
        inner: dict[int, Any] = {}  # each once, however often it stands in the level
        for value in level:
            parts = value.values() if isinstance(value, dict) else value
            inner |= {id(part): part for part in parts if isinstance(part, (dict, list, tuple))}
        if not inner:
            return
        level = list(inner.values())
    raise ValueError("an entry of it holds itself, or nests without end")


def _require_plain(name: str, value: Any) -> None:
    """Raise ValueError unless a value is of dicts under texts, lists, texts and numbers."""
    waiting, seen = [value], 0
    while waiting:
        value, seen = waiting.pop(), seen + 1
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif not (value is None or type(value) in (str, int, float, bool)):
            raise ValueError(f"its {name} holds something that is no plain value")
        if seen + len(waiting) > MOST_VALUES:  # what is shared counts each time that it is met
            raise ValueError(f"its {name} holds more than {MOST_VALUES:,} values")


# -- whether it is whole -------------------------------------------------------------------

_SEAL = b"sha256:"
_SEAL_LENGTH = len(_SEAL) + hashlib.sha256().digest_size * 2


def seal(file: IO[bytes]) -> None:
    """Let a zip that torch.save just wrote to `file` end in a checksum over all of it.

    It is the zip's comment, so that the file stays one that torch.load reads.
    """
    file.seek(-2, os.SEEK_END)  # the length of the comment
    file.write(_SEAL_LENGTH.to_bytes(2, "little"))
    digest = _digest(file, file.tell())
    file.seek(0, os.SEEK_END)
    file.write(_SEAL + digest)


def _check_whole(file: IO[bytes]) -> None:
    """Raise ValueError or BadZipFile unless the seal or, without one, every record is right."""
    body = file.seek(0, os.SEEK_END) - _SEAL_LENGTH
    file.seek(max(0, body))
    end = file.read()
    sealed = end.startswith(_SEAL)
    if sealed and end != _SEAL + _digest(file, body):
        raise ValueError("its checksum does not fit its content")
    with zipfile.ZipFile(file) as archive:
        if not sealed and (archive.comment or not end.endswith(b"\0\0")):
            # no comment, and none announced
            raise ValueError("its checksum is damaged")
        _check_records(archive)
        if not sealed and (record := archive.testzip()) is not None:
            raise ValueError(f"its record {record} is damaged")


def _digest(file: IO[bytes], length: int) -> bytes:
    """SHA-256 of the first `length` bytes, in hexadecimal."""
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0 and (block := file.read(min(length, 1 << 20))):
        digest.update(block)
        length -= len(block)
    return digest.hexdigest().encode()


def _check_records(archive: zipfile.ZipFile) -> None:
    records = archive.infolist()
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError("its content is compressed")
    if len({record.filename for record in records}) != len(records):
        raise ValueError("it holds the same record twice")
    if sum(record.filename.endswith("/data.pkl") for record in records) != 1:
        raise _Foreign("a zip that is no checkpoint")


# -- the model in it -----------------------------------------------------------------------


def model_in(content: dict[str, Any]) -> TrainedModel:
    """The trained model in a checkpoint's content.

    Raises:
        InputError: it holds none.
    """
    try:
        return _model_in(content)
    except UnknownKind:  # a whole model, and it says what is missing here
        raise
    except KeyError as error:
        raise InputError(f"holds no model (it lacks {one_line(error)})") from None
    except (InputError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"holds no model ({one_line(error)})") from None


def _model_in(content: dict[str, Any]) -> TrainedModel:
    architecture, vocabulary, tensors = _parts_of_model(content)
    weights = {name: np.array(t.float().numpy(), np.float32) for name, t in tensors.items()}
    return TrainedModel(architecture, vocabulary, weights, content[ENTRY]["facts"])


def _parts_of_model(
    content: dict[str, Any],
) -> tuple[Architecture, Vocabulary, dict[str, Tensor]]:
    ours = content[ENTRY]
    architecture = architecture_from(ours["architecture"])
    tensors = _network_weights(content["state_dict"])
    check_weights(architecture, tensors)
    if not all(isinstance(token, str) for token in ours["tokens"]):
        raise ValueError("its tokens are no texts")
    for name, fact in ours["facts"].items():
        plain = fact is None or isinstance(fact, (str, int, float))
        if not plain or not isinstance(name, str):
            raise ValueError(f"its fact {name} is no plain value")
    return architecture, Vocabulary.from_tokens(ours["tokens"]), tensors


def _network_weights(state: dict[str, Any]) -> dict[str, Tensor]:
    """The network's own tensors, by the names that it gives them.

    A subclass may have trained more than the network; torch.compile writes itself into names.
    """
    named = {str(name).replace(COMPILED_PREFIX, ""): tensor for name, tensor in state.items()}
    own = {name: tensor for name, tensor in named.items() if name.startswith(NETWORK_PREFIX)}
    weights = {n.removeprefix(NETWORK_PREFIX): tensor for n, tensor in (own or named).items()}
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise ValueError(f"its {name} is no tensor of floating-point numbers")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"its {name} claims more numbers than there are")
    return weights


def read_model(path: Path) -> TrainedModel:
    """The trained model of a .ckpt file.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    content = read(path)
    try:
        return model_in(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
