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

from charrnn.errors import InputError
from charrnn.models.trained import TrainedModel, architecture_from, check_weights
from charrnn.registry import UnknownKind
from charrnn.text.vocabulary import Vocabulary

ENTRY = "charrnn"
FORMAT_VERSION = 1
NETWORK_PREFIX = "network."
COMPILED_PREFIX = "_orig_mod."  # of what torch.compile wraps

# what a model is made of; entries that a file lacks are filled in where that is sure
FOR_A_MODEL = {"version": int, "architecture": dict, "tokens": list, "facts": dict}
# and what a run goes on from
FOR_A_RUN = {
    "config": dict, "fingerprint": str, "finished": bool, "sizes": list, "ranks": list,
    "best": dict,
}  # fmt: skip
FOR_LIGHTNING = {"optimizer_states": list, "loops": dict, "global_step": int}
DEFAULTS: dict[str, Any] = {"facts": {}, "finished": False}


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
        raise Damaged(f"{path}: not a charrnn checkpoint, or damaged ({_short(error)})") from None


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
    """The content of a checkpoint that a run can go on from.

    Raises:
        Damaged, InputError: as `read`; or it holds a model only.
    """
    content = read(path)
    try:
        _require(content, FOR_LIGHTNING)
        _require(content[ENTRY], FOR_A_RUN)
    except ValueError as error:
        raise InputError(
            f"{path}: holds a model, but not a run to go on with ({error}); "
            f"init_from= starts a new run from its weights"
        ) from None
    return content


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get(ENTRY), dict):
        raise _Foreign("a checkpoint of another program, not charrnn's")
    entry = {**DEFAULTS, **content[ENTRY]}
    version = entry.get("version")
    if type(version) is int and version != FORMAT_VERSION:
        raise _Foreign(
            f"a checkpoint of version {_short(version)}, and this charrnn reads "
            f"{FORMAT_VERSION}; update charrnn"
        )
    _require(content, {"state_dict": dict})
    _require(entry, FOR_A_MODEL)
    return {**content, "state_dict": dict(content["state_dict"]), ENTRY: entry}


def _require(values: dict[str, Any], kinds: dict[str, type]) -> None:
    for name, kind in kinds.items():
        value = values.get(name)
        # True is an int to isinstance
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"its {name} is missing or of a wrong type")


def _short(what: Any) -> str:
    """What an error says, on one line and no longer than one."""
    text = " ".join(str(what).split()) or type(what).__name__
    return text if len(text) <= 120 else text[:120] + "..."


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
        return _model_in(content["state_dict"], content[ENTRY])
    except UnknownKind:  # a whole model, and it says what is missing here
        raise
    except KeyError as error:
        raise InputError(f"holds no model (it lacks {_short(error)})") from None
    except (InputError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"holds no model ({_short(error)})") from None


def _model_in(state: dict[str, Any], ours: dict[str, Any]) -> TrainedModel:
    architecture = architecture_from(ours["architecture"])
    tensors = _network_weights(state)
    check_weights(architecture, tensors)
    if not all(isinstance(token, str) for token in ours["tokens"]):
        raise ValueError("its tokens are no texts")
    for name, fact in ours["facts"].items():
        if not (fact is None or isinstance(fact, (str, int, float))):
            raise ValueError(f"its fact {name} is no plain value")
    vocabulary = Vocabulary.from_tokens(ours["tokens"])
    weights = {name: np.array(t.float().numpy(), np.float32) for name, t in tensors.items()}
    return TrainedModel(architecture, vocabulary, weights, ours["facts"])


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
