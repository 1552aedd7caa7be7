"""One trained model as one safetensors file.

The tensors carry the names of the network's ``state_dict``, so that anyone can load
them with safetensors and torch alone. The metadata entry ``charrnn`` is one JSON object:
the format's version, the architecture, the vocabulary, facts about the training, and a
checksum over all that and the tensors. Reading a model file parses JSON and copies numbers;
there is nothing in it that could run. The same model is the same file, byte for byte.

This module needs NumPy only, so that a text can be sampled without torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts import Counts, CountTable, Weights
from charrnn.errors import InputError, RunError
from charrnn.files import replacing
from charrnn.models.trained import TrainedModel, architecture_from, check_shapes
from charrnn.registry import UnknownKind
from charrnn.text.vocabulary import Vocabulary

FORMAT = "charrnn model"
FORMAT_VERSION = 1
FORMAT_VERSION_OF_COUNTS = 3  # that of a file that holds counts besides
_COUNTS = "counts."  # before the names of their arrays
# Of a safetensors header. All of Unicode's assigned characters take half of it as a vocabulary;
# parsing one that is as hostile as can be takes a third of a second.
MAX_HEADER_BYTES = 4 << 20
_ENTRY = "charrnn"  # in the metadata
_CHECKSUM = "sha256"  # in the entry
_LENGTH_BYTES = 8  # the header's length, little-endian, comes first


def save(path: Path, model: TrainedModel) -> None:
    """Write a model file, whole or not at all.

    Raises:
        RunError: `path` cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    weights = {name: np.ascontiguousarray(w, np.float32) for name, w in model.weights.items()}
    description = {
        "format": FORMAT,
        "version": FORMAT_VERSION if model.counts is None else FORMAT_VERSION_OF_COUNTS,
        "architecture": model.architecture.plain(),
        "vocabulary": model.vocabulary.plain(),
        "facts": model.facts,
    }
    arrays: dict[str, npt.NDArray[Any]] = dict(weights)
    if model.counts is not None:
        table = model.counts.table
        description["counts"] = {"context": table.context, **model.counts.weights._asdict()}
        arrays |= {_COUNTS + name: values for name, values in table.arrays().items()}
    description[_CHECKSUM] = _checksum(description, arrays)
    content = to_bytes(arrays, {_ENTRY: json.dumps(description)})
    if int.from_bytes(content[:_LENGTH_BYTES], "little") > MAX_HEADER_BYTES:
        raise RunError(
            f"{path}: not written: a model file holds {MAX_HEADER_BYTES >> 20} MB beside the "
            f"weights, and the vocabulary and facts are more"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load(path: Path) -> TrainedModel:
    """Read a model file.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    with _explaining(path):
        return _read(path)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a model file's weights, from its header alone.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    from safetensors import safe_open

    with _explaining(path), safe_open(path, framework="np") as file:
        names = [name for name in file.keys() if not name.startswith(_COUNTS)]  # noqa: SIM118
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}


def facts(path: Path) -> dict[str, Any]:
    """What a model file says of the training, from its header alone.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    from safetensors import safe_open

    with _explaining(path), safe_open(path, framework="np") as file:
        header = _table("its description", json.loads((file.metadata() or {})[_ENTRY]))
        return _table("its facts", header["facts"])


@contextlib.contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn whatever is raised while a file is read into InputError."""
    from safetensors import SafetensorError

    try:
        _check_file(path)
        yield
        return
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnknownKind as error:  # a whole file, and it says what is missing here
        raise InputError(f"{path}: {error}") from None
    except KeyError as error:
        what = f"it lacks {error}"
    except (
        OSError,
        SafetensorError,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
        InputError,
    ) as error:
        what = str(error)
    # names in a hostile file may be of any length, line breaks included
    what = " ".join(what.split())
    raise InputError(
        f"{path}: not a charrnn model file ({what if len(what) <= 200 else what[:200] + '...'})"
    )


def _check_file(path: Path) -> None:
    """Refuse what could take long only to be opened, or to be parsed."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header would be {length} bytes long")


def _read(path: Path) -> TrainedModel:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        header = _table("its description", json.loads((file.metadata() or {})[_ENTRY]))
        if header["format"] != FORMAT:
            raise ValueError("it is another program's file")
        if header["version"] not in (FORMAT_VERSION, FORMAT_VERSION_OF_COUNTS):
            raise ValueError(
                f"it is of version {header['version']!r} and this charrnn reads "
                f"{FORMAT_VERSION} and {FORMAT_VERSION_OF_COUNTS}"
            )
        architecture = architecture_from(_table("its architecture", header["architecture"]))
        names = set(file.keys())
        counted = {name for name in names if name.startswith(_COUNTS)}
        slices = {name: file.get_slice(name) for name in names - counted}
        check_shapes(architecture, {name: s.get_shape() for name, s in slices.items()})
        if any(s.get_dtype() != "F32" for s in slices.values()):
            raise ValueError("its weights are not float32")
        weights = {name: file.get_tensor(name) for name in slices}
        arrays = {name: file.get_tensor(name) for name in counted}
    if header[_CHECKSUM] != _checksum(header, {**weights, **arrays}):
        raise ValueError("its checksum does not fit its content: it is damaged")
    vocabulary = Vocabulary.from_plain(_table("its vocabulary", header["vocabulary"]))
    facts = _table("its facts", header["facts"])
    counts = None
    if header["version"] != FORMAT_VERSION:
        described = _table("its counts", header["counts"])
        counts = _counts(described, arrays, len(vocabulary))
    elif arrays:
        raise ValueError("it holds counts that it does not describe")
    return TrainedModel(architecture, vocabulary, weights, facts, counts)


def _counts(
    described: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], vocabulary_size: int
) -> Counts:
    context, pairs = described["context"], [described[name] for name in Weights._fields]
    numbers = [weight for pair in pairs for weight in pair]
    if type(context) is not int or not all(type(w) is float and 0 <= w < 100 for w in numbers):
        raise ValueError("its counts are not described by numbers")
    weights = Weights.of(np.array(pairs))
    named = {name.removeprefix(_COUNTS): values for name, values in arrays.items()}
    return Counts(CountTable.from_arrays(vocabulary_size, context, named), weights)


def _table(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")
    return value


def _checksum(description: dict[str, Any], weights: dict[str, npt.NDArray[Any]]) -> str:
    """SHA-256 over the rest of the description and the weights' names, shapes and numbers."""
    rest = {name: value for name, value in description.items() if name != _CHECKSUM}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(weights):
        weight = weights[name]
        digest.update(f"\n{name} {weight.shape}\n".encode())
        little_endian = weight.dtype.newbyteorder("<")
        digest.update(np.ascontiguousarray(weight, little_endian).ravel().data)
    return digest.hexdigest()
