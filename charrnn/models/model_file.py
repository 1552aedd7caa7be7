"""Model files: a trained model as a safetensors file.

The tensors have the names of the network's ``state_dict``, so that safetensors and torch can load
them without charrnn. The metadata entry ``charrnn`` is a JSON object with the version of the
format, the architecture, the vocabulary, facts about the training, and a checksum of all these and
the tensors. Nothing in a model file is executed. The same model gives the same bytes.

This module does not import torch, so that sampling from a model file starts quickly.
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
from charrnn.counts.pairs import PairTable
from charrnn.counts.run_lengths import RunLengths
from charrnn.counts.table import CountTable
from charrnn.counts.words import WordTable
from charrnn.errors import InputError, to_one_line
from charrnn.files import replace_file, require_regular_file
from charrnn.models.trained import TrainedModel, parse_architecture
from charrnn.text.vocabulary import Vocabulary

FORMAT = "charrnn model"
FORMAT_VERSIONS = {False: 1, True: 7}  # by whether the file contains counts
# A vocabulary of all assigned characters of Unicode takes half of it. Parsing the most hostile
# header of this size takes a third of a second.
MAX_HEADER_BYTES = 4 << 20
_ENTRY = "charrnn"  # of the metadata
_CHECKSUM = "sha256"  # in the entry
_COUNTS = "counts."  # the prefix of the counts' tensors
_WEIGHT_COUNTS = [4, 4, 2, 2]  # of network, counts, words and pairs
_LENGTH_BYTES = 8  # the file starts with the header's length, little-endian

Arrays = dict[str, npt.NDArray[Any]]


def save(path: Path, model: TrainedModel) -> None:
    """Write a model file atomically. Raise RunError if it cannot be written."""
    from safetensors.numpy import save as to_bytes

    description = {
        "format": FORMAT,
        "version": FORMAT_VERSIONS[model.counts is not None],
        "architecture": model.architecture.to_dict(),
        "vocabulary": model.vocabulary.to_dict(),
        "facts": model.facts,
    }
    arrays: Arrays = {n: np.ascontiguousarray(w, np.float32) for n, w in model.weights.items()}
    if model.counts is not None:
        counts = model.counts
        description["counts"] = {"context": counts.table.context, **counts.weights._asdict()}
        arrays |= {_COUNTS + name: values for name, values in counts.to_arrays().items()}
    description[_CHECKSUM] = _compute_checksum(description, arrays)
    content = to_bytes(arrays, {_ENTRY: json.dumps(description)})
    with replace_file(path) as temporary:
        temporary.write_bytes(content)


def load(path: Path) -> TrainedModel:
    """Read a model file. Raise InputError if it cannot be read or is not valid."""
    with _open(path) as (file, description):
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if description[_CHECKSUM] != _compute_checksum(description, arrays):
            raise ValueError("its checksum does not fit its content: it is damaged")
        tokens, counts = _get_object(description, "vocabulary")["tokens"], None
        vocabulary = Vocabulary.from_tokens(tokens)
        if "counts" in description:
            names = [name for name in arrays if name.startswith(_COUNTS)]
            table = {name.removeprefix(_COUNTS): arrays.pop(name) for name in names}
            counts = _parse_counts(_get_object(description, "counts"), table, len(vocabulary))
        if any(weight.dtype != np.float32 for weight in arrays.values()):
            raise ValueError("its weights are not float32")
        architecture = parse_architecture(description["architecture"])
        facts = _get_object(description, "facts")
        return TrainedModel(architecture, vocabulary, arrays, facts, counts)


def read_facts(path: Path) -> dict[str, Any]:
    """Read only the facts about the training of a model file; raise InputError like `load`."""
    with _open(path) as (_, description):
        return _get_object(description, "facts")


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a model file and parse its description. Any exception inside becomes an InputError."""
    from safetensors import safe_open

    require_regular_file(path, "a model file is expected here")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > MAX_HEADER_BYTES:  # parsing it could take long
            raise ValueError(f"its header would be {length} bytes long")
        with safe_open(path, framework="np") as tensors:
            metadata = tensors.metadata() or {}
            description = _get_object({"description": json.loads(metadata[_ENTRY])}, "description")
            if description["format"] != FORMAT:
                raise ValueError("it is another program's file")
            if description["version"] != (version := FORMAT_VERSIONS["counts" in description]):
                raise ValueError(
                    f"it is of version {description['version']!r}, and this charrnn reads "
                    f"{version}: train the model again"
                )
            yield tensors, description
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or to_one_line(error)})"
        ) from None
    except Exception as error:  # A hostile file can raise any exception.
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: not a charrnn model file ({to_one_line(reason)})") from None


def _parse_counts(values: dict[str, Any], arrays: Arrays, vocabulary_size: int) -> Counts:
    context, weights = values["context"], [values[name] for name in Weights._fields]
    numbers = [weight for part in weights for weight in part]
    are_valid = all(type(weight) is float and 0 <= weight < 100 for weight in numbers)
    if type(context) is not int or list(map(len, weights)) != _WEIGHT_COUNTS or not are_valid:
        raise ValueError("its counts are not described by numbers")
    words = WordTable.from_arrays(vocabulary_size, arrays) if "word_sizes" in arrays else None
    has_runs, has_pairs = "run_characters" in arrays, "pair_sizes" in arrays
    return Counts(
        CountTable.from_arrays(vocabulary_size, context, arrays),
        RunLengths.from_arrays(vocabulary_size, context, arrays) if has_runs else None,
        words,
        PairTable.from_arrays(words, arrays) if words and has_pairs else None,
        Weights.from_vector(np.array(numbers)),
    )


def _get_object(description: dict[str, Any], name: str) -> dict[str, Any]:
    value = description[name]
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is no JSON object")
    return value


def _compute_checksum(description: dict[str, Any], arrays: Arrays) -> str:
    """Return the SHA-256 of the description and of the arrays' names, shapes and numbers."""
    rest = {name: value for name, value in description.items() if name != _CHECKSUM}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.shape}\n".encode())
        little_endian = array.dtype.newbyteorder("<")
        digest.update(np.ascontiguousarray(array, little_endian).ravel().data)
    return digest.hexdigest()
