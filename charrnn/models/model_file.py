"""One trained model as one safetensors file.

The tensors carry the names of the network's ``state_dict``, so that anyone can load them with
safetensors and torch alone. The metadata entry ``charrnn`` is one JSON object: the format's
version, the architecture, the vocabulary, facts about the training, and a checksum over all that
and the tensors. Reading a model file parses JSON and copies numbers; there is nothing in it that
could run. The same model is the same file, byte for byte.

This module needs NumPy only, so that a text can be sampled without torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts, Weights
from charrnn.counts.table import CountTable
from charrnn.errors import InputError, RunError, to_one_line
from charrnn.files import replace_file, require_regular_file
from charrnn.models.trained import TrainedModel, architecture_from
from charrnn.text.vocabulary import Vocabulary

FORMAT = "charrnn model"
FORMAT_VERSIONS = {False: 1, True: 3}  # by whether it holds counts
# Of a safetensors header. All of Unicode's assigned characters take half of it as a vocabulary;
# parsing one that is as hostile as can be takes a third of a second.
MAX_HEADER_BYTES = 4 << 20
_ENTRY = "charrnn"  # in the metadata
_CHECKSUM = "sha256"  # in the entry
_COUNTS = "counts."  # before the names of their arrays
_LENGTH_BYTES = 8  # the header's length, little-endian, comes first

Arrays = dict[str, npt.NDArray[Any]]


def save(path: Path, model: TrainedModel) -> None:
    """Write a model file, whole or not at all.

    Raises:
        RunError: `path` cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    description = {
        "format": FORMAT,
        "version": FORMAT_VERSIONS[model.counts is not None],
        "architecture": model.architecture.plain(),
        "vocabulary": model.vocabulary.to_dict(),
        "facts": model.facts,
    }
    arrays: Arrays = {n: np.ascontiguousarray(w, np.float32) for n, w in model.weights.items()}
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
    with replace_file(path) as temporary:
        temporary.write_bytes(content)


def load(path: Path) -> TrainedModel:
    """Read a model file.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    with _opened(path) as (file, description):
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if description[_CHECKSUM] != _checksum(description, arrays):
            raise ValueError("its checksum does not fit its content: it is damaged")
        vocabulary, counts = Vocabulary.from_dict(_object(description, "vocabulary")), None
        if "counts" in description:
            names = [name for name in arrays if name.startswith(_COUNTS)]
            table = {name.removeprefix(_COUNTS): arrays.pop(name) for name in names}
            counts = _counts(_object(description, "counts"), table, len(vocabulary))
        if any(weight.dtype != np.float32 for weight in arrays.values()):
            raise ValueError("its weights are not float32")
        architecture = architecture_from(description["architecture"])
        return TrainedModel(architecture, vocabulary, arrays, _object(description, "facts"), counts)


def facts(path: Path) -> dict[str, Any]:
    """What a model file says of the training, from its header; raises InputError as `load`."""
    with _opened(path) as (_, description):
        return _object(description, "facts")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A model file and its description; whatever is raised inside becomes an InputError."""
    from safetensors import safe_open

    require_regular_file(path, "a model file is expected here")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > MAX_HEADER_BYTES:  # it could take long only to be parsed
            raise ValueError(f"its header would be {length} bytes long")
        with safe_open(path, framework="np") as opened:
            description = json.loads((opened.metadata() or {})[_ENTRY])
            if description["format"] != FORMAT:
                raise ValueError("it is another program's file")
            if description["version"] != (version := FORMAT_VERSIONS["counts" in description]):
                raise ValueError(
                    f"it is of version {description['version']!r}, and this charrnn reads {version}"
                )
            yield opened, description
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or to_one_line(error)})"
        ) from None
    except Exception as error:  # a hostile file makes safetensors and what is above fail in any way
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: not a charrnn model file ({to_one_line(what)})") from None


def _counts(described: dict[str, Any], arrays: Arrays, vocabulary_size: int) -> Counts:
    context, pairs = described["context"], [described[name] for name in Weights._fields]
    numbers = [weight for pair in pairs for weight in pair]
    if type(context) is not int or not all(type(w) is float and 0 <= w < 100 for w in numbers):
        raise ValueError("its counts are not described by numbers")
    return Counts(
        CountTable.from_arrays(vocabulary_size, context, arrays), Weights.of(np.array(pairs))
    )


def _object(description: dict[str, Any], name: str) -> dict[str, Any]:
    value = description[name]
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is no JSON object")
    return value


def _checksum(description: dict[str, Any], arrays: Arrays) -> str:
    """SHA-256 over the rest of the description and the arrays' names, shapes and numbers."""
    rest = {name: value for name, value in description.items() if name != _CHECKSUM}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.shape}\n".encode())
        little_endian = array.dtype.newbyteorder("<")
        digest.update(np.ascontiguousarray(array, little_endian).ravel().data)
    return digest.hexdigest()
