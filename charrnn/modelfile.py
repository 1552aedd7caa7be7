"""One trained model as one safetensors file.

The tensors carry the names of the network's ``state_dict``, so that anyone can load
them with safetensors and torch alone. The metadata entry ``charrnn`` is one JSON object:
the format's version, the architecture, the vocabulary, facts about the training, and
a checksum over the tensors. Reading a model file parses JSON and copies numbers; there
is nothing in it that could run.

This module needs NumPy only, so that a text can be sampled without torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError
from charrnn.files import replacing
from charrnn.options import ModelOptions
from charrnn.text.vocabulary import Vocabulary

FORMAT = "charrnn model"
FORMAT_VERSION = 1
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass
class Architecture(ModelOptions):
    """Everything that fixes the shapes of a network's weights."""

    vocabulary_size: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocabulary_size < 1:
            raise InputError("the vocabulary is empty")

    @classmethod
    def of(cls, options: ModelOptions, vocabulary_size: int) -> Architecture:
        own = {f.name: getattr(options, f.name) for f in fields(ModelOptions)}
        return cls(**own, vocabulary_size=vocabulary_size)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, as in the network's ``state_dict``.

        Gates are stacked along the first axis in PyTorch's order: lstm i, f, g, o;
        gru r, z, n.
        """
        V, D, H = self.vocabulary_size, self.embedding_size, self.hidden_size
        G = GATES[self.kind] * H
        shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (V, D)}
        for layer in range(self.num_layers):
            prefix = f"recurrent.{layer}."
            shapes[prefix + "weight_ih_l0"] = (G, D if layer == 0 else H)
            shapes[prefix + "weight_hh_l0"] = (G, H)
            shapes[prefix + "bias_ih_l0"] = (G,)
            shapes[prefix + "bias_hh_l0"] = (G,)
        if self.batchnorm:
            for layer in range(self.num_layers):
                for name in ("weight", "bias", "running_mean", "running_var"):
                    shapes[f"norms.{layer}.{name}"] = (H,)
        shapes["decoder.weight"] = (V, H)
        shapes["decoder.bias"] = (V,)
        return shapes


@dataclass(frozen=True)
class TrainedModel:
    """Weights with what is needed to use them; what every checkpoint format is read into.

    Attributes:
        weights: float32 arrays, named and shaped as `Architecture.shapes` says.
        facts: plain values about how it came to be (step, val_loss, data, ...).
    """

    architecture: Architecture
    vocabulary: Vocabulary
    weights: dict[str, npt.NDArray[np.float32]]
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.architecture.vocabulary_size != len(self.vocabulary):
            raise InputError(
                f"its vocabulary has {len(self.vocabulary)} characters, "
                f"its architecture {self.architecture.vocabulary_size}"
            )
        check_weights(self.architecture, self.weights)


def check_weights(architecture: Architecture, weights: dict[str, Any]) -> None:
    """Raise InputError unless `weights` (NumPy or torch) are those of `architecture`.

    The names are compared before any shape is computed for each layer, so that a file
    that claims 2**60 layers costs nothing.
    """
    if architecture.num_layers > len(weights):
        raise InputError(f"its weights are not those of {architecture.num_layers} layers")
    shapes = architecture.shapes()
    for name in shapes.keys() - weights.keys():
        raise InputError(f"its weight {name} is missing")
    for name in weights.keys() - shapes.keys():
        raise InputError(f"its weight {name} has no place in a {architecture.kind}")
    for name, shape in shapes.items():
        if tuple(weights[name].shape) != shape:
            raise InputError(f"its weight {name} is {tuple(weights[name].shape)}, not {shape}")


def architecture_from(content: dict[str, Any]) -> Architecture:
    """An Architecture from plain values of a file, each held to its exact type.

    Raises:
        ValueError, KeyError, InputError: it is not one.
    """
    types = {"kind": str, "dropout": float, "batchnorm": bool}
    values = {f.name: content[f.name] for f in fields(Architecture)}
    for name, value in values.items():
        if type(value) is not types.get(name, int):
            raise ValueError(f"{name} is {value!r}")
    return Architecture(**values)


def save(path: Path, model: TrainedModel) -> None:
    """Write a model file, whole or not at all.

    Raises:
        RunError: `path` cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    weights = {name: np.ascontiguousarray(w, np.float32) for name, w in model.weights.items()}
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "architecture": asdict(model.architecture),
        "vocabulary": {"tokens": model.vocabulary.tokens(), "bytes": model.vocabulary.is_bytes},
        "facts": model.facts,
        "sha256": _checksum(weights),
    }
    content = to_bytes(weights, {"charrnn": json.dumps(header)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load(path: Path) -> TrainedModel:
    """Read a model file.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})["charrnn"])
            if header["format"] != FORMAT:
                raise ValueError("it is another program's file")
            if header["version"] != FORMAT_VERSION:
                raise ValueError(
                    f"it is of version {header['version']} and this charrnn reads "
                    f"{FORMAT_VERSION}; update charrnn"
                )
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if any(w.dtype != np.float32 for w in weights.values()):
            raise ValueError("its weights are not float32")
        architecture = architecture_from(header["architecture"])
        vocabulary = Vocabulary.from_tokens(header["vocabulary"]["tokens"])
        if header["sha256"] != _checksum(weights):
            raise ValueError("its checksum does not fit its weights: it is damaged")
        return TrainedModel(architecture, vocabulary, weights, dict(header["facts"]))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except KeyError as error:
        raise InputError(f"{path}: not a charrnn model file (it lacks {error})") from None
    except (
        OSError,
        SafetensorError,
        ValueError,
        TypeError,
        RecursionError,
        InputError,
    ) as error:
        raise InputError(f"{path}: not a charrnn model file ({error})") from None


def _checksum(weights: dict[str, npt.NDArray[np.float32]]) -> str:
    """SHA-256 over names, shapes and little-endian numbers."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        weight = weights[name]
        digest.update(f"{name} {weight.shape}\n".encode())
        digest.update(np.ascontiguousarray(weight, "<f4"))
    return digest.hexdigest()
