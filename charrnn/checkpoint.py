"""What a training checkpoint (.ckpt) holds, and how one is read safely.

A checkpoint is Lightning's: a zip that torch.save wrote, which loads with ``weights_only=True``.
Beside Lightning's own entries it has one of ours, `ENTRY`, with everything an exact resume or
a sample needs. Reading one is left to neither torch nor the pickle in it:

- a SHA-256 over the file stands in its last bytes, which are the zip's comment: torch.load
  checks nothing, and a flipped byte of a weight would load silently;
- the pickle is screened first: only the few opcodes that plain values and tensors take, only
  so many of them; what it may call is two functions of this module;
- what comes out are plain values and CPU tensors, only so many and only so deep.

So a hostile file costs no more memory than its size and no more time than a large honest one.

This module needs torch but not Lightning.
"""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import pickle
import pickletools
import stat
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from charrnn.errors import InputError
from charrnn.models.trained import TrainedModel, architecture_from, check_weights
from charrnn.text.vocabulary import Vocabulary

ENTRY = "charrnn"
FORMAT_VERSION = 1
NETWORK_PREFIX = "network."

# A vocabulary of all of Unicode's assigned characters takes 300,000 opcodes
MAX_VALUES = 500_000
MAX_PICKLE_BYTES = 16 << 20
MAX_DIRECTORY_BYTES = 4 << 20  # of the zip: tens of thousands of tensors
MAX_DEPTH = 20
MAX_STEP = 1 << 48

_OPCODES = """
PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE EMPTY_DICT
SETITEM SETITEMS EMPTY_LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 BINPUT
LONG_BINPUT BINGET LONG_BINGET GLOBAL REDUCE BINPERSID
"""
_ALLOWED = frozenset(_OPCODES.split())
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Damaged(InputError):
    """A file that is no whole checkpoint: torn, changed, or never one."""


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU, checked as far as its structure goes.

    Raises:
        Damaged: it is not whole; the line names the file and what is wrong with it.
        InputError: it cannot be read here, or is another program's or version's.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is no regular file")
        with _Bounded(path) as file:
            _check_seal(file)
            with zipfile.ZipFile(file) as archive:
                file.bound = None  # the directory is read
                content = _unpickled(archive, path.stat().st_size)
        _check_plain(content)
        _check_structure(content)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except MemoryError:
        raise InputError(f"{path}: cannot be read (there is too little memory)") from None
    except _Foreign as error:
        raise InputError(f"{path}: {error}") from None
    except InputError:
        raise
    except Exception as error:
        # EINVAL: zipfile went where a false directory sent it
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        # zipfile and pickle may fail in any way on a file that is not whole
        raise Damaged(f"{path}: not a charrnn checkpoint, or damaged ({_short(error)})") from None
    return dict(content)


class _Foreign(Exception):
    """A whole file that is not for this program."""


# -- the seal ------------------------------------------------------------------------------

_SEAL = b"sha256:"
_SEAL_LENGTH = len(_SEAL) + hashlib.sha256().digest_size * 2


def seal(file: IO[bytes]) -> None:
    """Let a zip that torch.save just wrote to `file` end in a checksum over all of it."""
    file.seek(-2, os.SEEK_END)  # the length of the comment
    file.write(_SEAL_LENGTH.to_bytes(2, "little"))
    digest = _digest(file, file.tell())
    file.seek(0, os.SEEK_END)
    file.write(_SEAL + digest)


def _check_seal(file: IO[bytes]) -> None:
    body = file.seek(0, os.SEEK_END) - _SEAL_LENGTH
    file.seek(max(0, body))
    end = file.read(_SEAL_LENGTH)
    if not end.startswith(_SEAL):
        raise ValueError("it has no checksum")
    if end != _SEAL + _digest(file, body):
        raise ValueError("its checksum does not fit its content")


def _digest(file: IO[bytes], length: int) -> bytes:
    """SHA-256 of the first `length` bytes, in hexadecimal."""
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0 and (block := file.read(min(length, 1 << 20))):
        digest.update(block)
        length -= len(block)
    return digest.hexdigest().encode()


# -- from the file to values ---------------------------------------------------------------


class _Bounded(io.FileIO):
    """A file of which zipfile reads no longer directory than an honest one has.

    It reads a directory whole, however many entries that has, before one can look at it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self.bound: int | None = MAX_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if self.bound is not None and size is not None and size > self.bound:
            raise ValueError("its directory is too long")
        return super().read(size) or b""


def _unpickled(archive: zipfile.ZipFile, file_size: int) -> Any:
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its content is compressed")
    if any(entry.compress_size != entry.file_size for entry in entries):
        raise ValueError("its directory contradicts itself")
    if sum(entry.file_size for entry in entries) > file_size:
        raise ValueError("it claims more than it holds")
    # torch.save puts everything into one folder
    records = {entry.filename.partition("/")[2]: entry for entry in entries}
    if "byteorder" in records and archive.read(records["byteorder"]) != sys.byteorder.encode():
        raise _Foreign("from a machine of another byte order")
    if "data.pkl" not in records:
        raise ValueError("it has no data.pkl")
    if records["data.pkl"].file_size > MAX_PICKLE_BYTES:
        raise ValueError("its values are too many")
    pickled = archive.read(records["data.pkl"])
    _screen(pickled)
    unpickler = _Unpickler(pickled, archive, records, file_size)
    try:
        return unpickler.load()
    finally:
        # they hold on to each other, and would keep all tensors until the next garbage collection
        unpickler.storages.clear()
        unpickler.memo.clear()


def _screen(pickled: bytes) -> None:
    """Raise ValueError for opcodes that no checkpoint has, before one of them is followed."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        if opcode.name not in _ALLOWED:
            raise ValueError(f"its pickle has a {opcode.name}")
        if count >= MAX_VALUES:
            raise ValueError("its values are too many")
        # a memo is as long as its highest index
        if opcode.name == "LONG_BINPUT" and argument is not None and argument > count:
            raise ValueError("its pickle has a memo with gaps")


def check_size(path: Path) -> None:
    """Raise ValueError if a checkpoint just written holds more values than `read` takes."""
    with zipfile.ZipFile(path) as archive:
        [entry] = [e for e in archive.infolist() if e.filename.endswith("/data.pkl")]
        if entry.file_size > MAX_PICKLE_BYTES:
            raise ValueError("its values are too many")
        _screen(archive.read(entry))


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows tensors, and nothing else that could be called."""

    def __init__(
        self,
        pickled: bytes,
        archive: zipfile.ZipFile,
        records: Mapping[str, zipfile.ZipInfo],
        budget: int,
    ) -> None:
        super().__init__(io.BytesIO(pickled))
        self.archive = archive
        self.records = records
        self.budget = budget  # bytes of tensors, of which a file holds no more than its size
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("collections", "OrderedDict"): _ordered_dict,
        }
        if (module, name) not in known:
            raise ValueError(f"its pickle names {module}.{name}"[:100])
        return known[module, name]

    def persistent_load(self, pid: Any, /) -> Tensor:
        """The storage of tensors: one record of the zip, read once, its CRC checked."""
        what, dtype, key, _, size = pid
        if what != "storage" or not isinstance(dtype, torch.dtype):
            raise ValueError("its pickle refers to something that is no storage")
        if key not in self.storages:
            content = bytearray(self.archive.read(self.records[f"data/{key}"]))
            empty = torch.empty(0, dtype=dtype)
            self.storages[key] = torch.frombuffer(content, dtype=dtype) if content else empty
        storage = self.storages[key]
        if storage.dtype != dtype or len(storage) != size:
            raise ValueError(f"its record {key} is not of the size or type that is claimed")
        return storage

    def _tensor(
        self, storage: Tensor, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any
    ) -> Tensor:
        if not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
            raise ValueError("its pickle has a tensor of an impossible shape")
        self.budget -= math.prod(size) * storage.itemsize
        if self.budget < 0:
            raise ValueError("its tensors are larger than the file")
        view = storage.as_strided(size, stride, offset)
        # memory of torch's own, whose alignment some kernels' last bits depend on
        return view.clone(memory_format=torch.contiguous_format)


def _ordered_dict() -> dict[str, Any]:
    return {}


def _check_plain(content: Any, *, tensors: bool = True) -> None:
    """Raise ValueError unless it is made of dicts, lists, plain values and, perhaps, tensors.

    A few hundred bytes can hold a list of lists that would take years to walk through.
    """
    left = MAX_VALUES
    level = [content]
    for _ in range(MAX_DEPTH):
        left -= len(level)
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                if not all(type(key) in (str, int) for key in value):
                    raise ValueError("it holds a name that is no text")
                inner += value.values()
            elif isinstance(value, (list, tuple)):
                inner += value
            elif not (
                value is None
                or isinstance(value, (bool, int, float, str))
                or (tensors and isinstance(value, Tensor))
            ):
                raise ValueError(f"it holds a {type(value).__name__}")
            if len(inner) > left:
                raise ValueError("its values are too many")
        if not inner:
            return
        level = inner
    raise ValueError("its values are nested too deep")


def _check_structure(content: Any) -> None:
    if not isinstance(content, dict) or not isinstance(content.get(ENTRY), dict):
        raise _Foreign("a checkpoint of another program, not charrnn's")
    ours = content[ENTRY]
    version = ours.get("version")
    if type(version) is int and version != FORMAT_VERSION:
        raise _Foreign(
            f"a checkpoint of version {_short(version)}, and this charrnn reads "
            f"{FORMAT_VERSION}; update charrnn"
        )
    expected = {
        "state_dict": dict,
        "optimizer_states": list,
        "loops": dict,
        "global_step": int,
    }
    expected_ours = {
        "version": int,
        "architecture": dict,
        "tokens": list,
        "config": dict,
        "facts": dict,
        "fingerprint": str,
        "finished": bool,
        "sizes": list,
        "ranks": list,
        "best": dict,
    }
    for place, names in ((content, expected), (ours, expected_ours)):
        for name, kind in names.items():
            if type(place.get(name)) is not kind:
                raise ValueError(f"its {name} is missing or of a wrong type")
    _check_plain({**ours, "ranks": None}, tensors=False)
    if not 0 <= content["global_step"] <= MAX_STEP:
        raise ValueError("its step is impossible")
    if len(ours["sizes"]) != 2 or not all(type(n) is int and n > 0 for n in ours["sizes"]):
        raise ValueError("its sizes are not those of a batch")


def _short(what: Any) -> str:
    """What an error says, on one line and no longer than one."""
    text = " ".join(str(what).split()) or type(what).__name__
    return text if len(text) <= 120 else text[:120] + "..."


# -- the model in it -----------------------------------------------------------------------


def model_in(content: dict[str, Any]) -> TrainedModel:
    """The trained model in a checkpoint's content.

    Raises:
        InputError: it holds none.
    """
    try:
        return _model_in(content["state_dict"], content[ENTRY])
    except KeyError as error:
        raise InputError(f"holds no model (it lacks {_short(error)})") from None
    except (InputError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"holds no model ({_short(error)})") from None


def _model_in(state: dict[str, Any], ours: dict[str, Any]) -> TrainedModel:
    architecture = architecture_from(ours["architecture"])
    tensors = {str(name).removeprefix(NETWORK_PREFIX): tensor for name, tensor in state.items()}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
            raise ValueError(f"its {name} is no float32 tensor")
    check_weights(architecture, tensors)
    if not all(isinstance(token, str) for token in ours["tokens"]):
        raise ValueError("its tokens are no texts")
    for name, fact in ours["facts"].items():
        if not (fact is None or isinstance(fact, (str, int, float))):
            raise ValueError(f"its fact {name} is no plain value")
    vocabulary = Vocabulary.from_tokens(ours["tokens"])
    weights = {name: np.array(t.numpy(), np.float32) for name, t in tensors.items()}
    return TrainedModel(architecture, vocabulary, weights, ours["facts"])


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
