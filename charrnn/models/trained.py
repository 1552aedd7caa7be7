"""What every kind of file is read into: an architecture, a vocabulary, and weights.

This module needs NumPy only, so that a text can be sampled without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt

from charrnn.cells import Cell, find_cell
from charrnn.counts.mixing import Counts
from charrnn.errors import InputError
from charrnn.options.networks import LayerOptions
from charrnn.text.vocabulary import Vocabulary

# the weights that have a row for each character
BY_CHARACTER = ("embedding.weight", "decoder.weight", "decoder.bias")
BATCHNORM_EPS = 1e-5  # PyTorch's default, and torch-rnn's


@dataclass(frozen=True)
class Architecture(LayerOptions):
    """Everything that fixes the shapes of a network's weights: its options, and its vocabulary."""

    hidden_size: int = 128
    dropout: float = 0.0
    vocabulary_size: int = 0  # one of its own for each text; 0 is refused

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocabulary_size < 1:
            raise InputError("the vocabulary is empty")

    @classmethod
    def of(cls, options: LayerOptions, vocabulary_size: int) -> Architecture:
        """That of options, with the defaults above where they say nothing."""
        chosen = {f.name: getattr(options, f.name) for f in fields(LayerOptions)}
        given = {name: value for name, value in chosen.items() if value is not None}
        return cls(**given, vocabulary_size=vocabulary_size)

    @property
    def cell(self) -> Cell:
        """The cell of its layers."""
        return find_cell(self.kind)

    def zero_state(self, streams: int) -> list[tuple[npt.NDArray[Any], ...]]:
        """What so many streams carry before the first character: zeros, by layer."""
        shape = (streams, self.hidden_size)
        return [
            tuple(np.zeros(shape, np.float32) for _ in self.cell.carried)
            for _ in range(self.num_layers)
        ]

    def plain(self) -> dict[str, Any]:
        """Plain values, as files hold them; `skip` only where there is one."""
        values = asdict(self)
        if self.skip == "none":
            del values["skip"]
        return values

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, as in the network's ``state_dict``.

        Gates are stacked along the first axis in the order of the cell's `gates`.
        """
        V, D, H = self.vocabulary_size, self.embedding_size, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (V, D)}
        for layer in range(self.num_layers):
            for name, shape in self.cell.shapes(H if layer else D, H).items():
                shapes[f"recurrent.{layer}.{name}"] = shape
        norm = ("weight", "bias", "running_mean", "running_var") if self.batchnorm else ()
        for layer in range(self.num_layers):
            for name in norm:
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
        counts: of the characters of its training text, to be mixed with the network; None
            where it is the network alone.
    """

    architecture: Architecture
    vocabulary: Vocabulary
    weights: dict[str, npt.NDArray[np.float32]]
    facts: dict[str, Any] = field(default_factory=dict)
    counts: Counts | None = None

    @property
    def members(self) -> tuple[TrainedModel, ...]:
        """The models whose probabilities it averages: itself."""
        return (self,)

    @property
    def encoding(self) -> str:
        """That of the text that it was trained on; ``bytes`` of a vocabulary of bytes."""
        return "bytes" if self.vocabulary.is_bytes else str(self.facts.get("encoding", "utf-8"))

    def __post_init__(self) -> None:
        if self.architecture.vocabulary_size != len(self.vocabulary):
            raise InputError(
                f"its vocabulary has {len(self.vocabulary)} characters, "
                f"its architecture {self.architecture.vocabulary_size}"
            )
        if self.counts is not None and self.counts.table.vocabulary_size != len(self.vocabulary):
            raise InputError("its counts are those of another vocabulary")
        check_shapes(self.architecture, {n: weight.shape for n, weight in self.weights.items()})
        for name, weight in self.weights.items():
            if not np.isfinite(weight).all():
                raise InputError(f"its weight {name} holds numbers that are not finite")
            if name.endswith("running_var") and weight.min() < 0:
                raise InputError(f"its {name} holds a negative variance")


def check_shapes(architecture: Architecture, shapes: Mapping[str, Sequence[int]]) -> None:
    """Raise InputError unless `shapes` are those of `architecture`'s weights.

    A file that claims 2**60 layers costs nothing: there are that many names, or it ends.
    """
    if architecture.num_layers > len(shapes):
        raise InputError(f"its weights are not those of {architecture.num_layers} layers")
    demanded = architecture.shapes()
    for name in shapes:
        if name not in demanded:
            raise InputError(f"its weight {name} has no place in this {architecture.kind}")
    for name, shape in demanded.items():
        if name not in shapes:
            raise InputError(f"its weight {name} is missing")
        if tuple(shapes[name]) != shape:
            raise InputError(f"its weight {name} is {tuple(shapes[name])}, not {shape}")


def architecture_from(content: Mapping[str, Any]) -> Architecture:
    """An Architecture from plain values of a file, each held to its exact type.

    Raises:
        ValueError, KeyError, InputError: it is not one.
    """
    kinds = get_type_hints(Architecture)
    values = {"skip": "none", **content}
    for name in values:
        if name not in kinds:
            raise ValueError(f"its {name} is unknown to this charrnn")
    for name, kind in kinds.items():
        value = values[name]
        if type(value) is not kind and (kind, type(value)) != (float, int):
            raise ValueError(f"its {name} is of a wrong type")
        values[name] = kind(value)
    return Architecture(**values)
