"""Trained models, which all file formats are read into.

This module does not import torch, so that sampling from a model file starts quickly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts
from charrnn.errors import InputError
from charrnn.options.cells import CELLS, Cell, NetworkOptions
from charrnn.options.datasets import ENCODING
from charrnn.options.ranges import COUNTS, interval, require
from charrnn.text.prompt import PRIMER_FACT
from charrnn.text.vocabulary import Vocabulary

# The weights with one row per character
BY_CHARACTER = ("embedding.weight", "decoder.weight", "decoder.bias")
NOT_TRAINED = ("bias_hh_l0", "running_mean", "running_var")
BATCHNORM_EPS = 1e-5  # the default of PyTorch and torch-rnn

# The carried vectors (N, H) of each layer, one row per stream. With counts, the last entry has the
# state (N, K + 3) of `Counts`.
State = list[tuple[npt.NDArray[Any], ...]]


@dataclass(frozen=True)
class Architecture(NetworkOptions):
    """The network options and vocabulary size, which determine the shapes of all weights."""

    hidden_size: Annotated[int, interval(ge=1)] = 128
    dropout: Annotated[float, interval(ge=0, lt=1)] = 0.0
    vocabulary_size: int = 0  # depends on the text; 0 is refused

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocabulary_size < 1:
            raise InputError("the vocabulary is empty")

    @classmethod
    def of(cls, options: NetworkOptions, vocabulary_size: int) -> Architecture:
        """Return the architecture of options. Unset options get the defaults above."""
        values = {f.name: getattr(options, f.name) for f in fields(NetworkOptions)}
        values = {name: value for name, value in values.items() if value is not None}
        return cls(**values, vocabulary_size=vocabulary_size)

    @property
    def cell(self) -> Cell:
        """The cell of all layers."""
        return CELLS[self.kind]

    def zero_state(self, streams: int) -> State:
        """Return the state of N streams before their first character."""
        shape = (streams, self.hidden_size)
        return [
            tuple(np.zeros(shape, np.float32) for _ in self.cell.carried)
            for _ in range(self.num_layers)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file, without `skip` if it is "none"."""
        return {name: value for name, value in asdict(self).items() if value != "none"}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each weight, like in the network's ``state_dict``.

        Gates are stacked along the first axis in the order of the cell's `gates`.
        """
        V, D, H = self.vocabulary_size, self.embedding_size, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (V, D)}
        layers = range(self.num_layers)
        for layer in layers:
            cell_shapes = self.cell.shapes(H if layer else D, H)
            shapes |= {f"recurrent.{layer}.{name}": shape for name, shape in cell_shapes.items()}
        norm = ("weight", "bias", "running_mean", "running_var") if self.batchnorm else ()
        shapes |= {f"norms.{layer}.{name}": (H,) for layer in layers for name in norm}
        return {**shapes, "decoder.weight": (V, H), "decoder.bias": (V,)}

    @property
    def num_parameters(self) -> int:
        """The number of trained parameters, as torch-rnn counts them.

        PyTorch's second bias is frozen at zero, and batch normalization measures its statistics.
        """
        shapes = self.shapes().items()
        return sum(math.prod(shape) for name, shape in shapes if not name.endswith(NOT_TRAINED))


@dataclass(frozen=True)
class TrainedModel:
    """The weights of a network, its architecture and its vocabulary."""

    architecture: Architecture
    vocabulary: Vocabulary
    # float32 arrays with the names and shapes of `Architecture.shapes`
    weights: dict[str, npt.NDArray[np.float32]]
    # plain values about the training (step, val_loss, data, ...)
    facts: dict[str, Any] = field(default_factory=dict)
    # of the training text, which are mixed with the network; None for the network only
    counts: Counts | None = None

    @property
    def loss(self) -> float | None:
        """The validation loss as it writes, in nats per character; None if unknown."""
        return find_loss(self.facts, LOSS_AS_WRITTEN, LOSS)

    @property
    def encoding(self) -> str:
        """The encoding of the training text; ``bytes`` for a vocabulary of bytes."""
        name: Any = "bytes" if self.vocabulary.is_bytes else self.facts.get("encoding")
        return name if ENCODING.accepts(name) else "utf-8"  # the facts of a file are not checked

    def __post_init__(self) -> None:
        if self.architecture.vocabulary_size != len(self.vocabulary):
            raise InputError(
                f"its vocabulary has {len(self.vocabulary)} characters, "
                f"its architecture {self.architecture.vocabulary_size}"
            )
        if self.architecture.num_layers > len(self.weights):  # `shapes` could fill the memory
            raise InputError(f"it has too few weights for {self.architecture.num_layers} layers")
        shapes = self.architecture.shapes()
        for name in {**shapes, **self.weights}:
            if name not in shapes:
                raise InputError(f"its weight {name} does not fit its {self.architecture.kind}")
            if name not in self.weights:
                raise InputError(f"its weight {name} is missing")
            weight = self.weights[name]
            if weight.shape != shapes[name]:
                raise InputError(f"its weight {name} is {weight.shape}, not {shapes[name]}")
            if not np.isfinite(weight).all():
                raise InputError(f"its weight {name} contains numbers that are not finite")


# facts of a model
LOSS, LOSS_AS_WRITTEN, WITH_COUNTS = "val_loss", "val_loss_as_written", "with_counts"
# the losses of the counts, and of the network on the same characters
COUNTS_LOSS, COMPARED_LOSS = "counts_loss", "compared_loss"


def find_loss(facts: Mapping[str, Any], *names: str) -> float | None:
    """Return the first validation loss of these names in a model's facts, which are not checked."""
    losses = (facts.get(name) for name in names)
    return next((v for v in losses if isinstance(v, float) and math.isfinite(v)), None)


def zero_state(model: TrainedModel, streams: int) -> State:
    """Return the state of N streams of a model before their first character."""
    layers = model.architecture.zero_state(streams)
    return layers if model.counts is None else [*layers, (model.counts.zero_state(streams),)]


def select_streams(state: list[tuple[Any, ...]], streams: Any) -> list[tuple[Any, ...]]:
    """Return the state of some streams, in this order: views for a slice, else copies.

    Args:
        state: vectors (N, H) of each layer, as arrays or tensors.
        streams: an index of their first axis. A stream may occur repeatedly.
    """
    return [tuple(vectors[streams] for vectors in layer) for layer in state]


def concat_states(
    states: Iterable[list[tuple[Any, ...]]], concat: Callable[[Any], Any] = np.concatenate
) -> list[tuple[Any, ...]]:
    """Return the streams of several states as one state. For tensors, `concat` is torch.cat."""
    return [
        tuple(concat(vectors) for vectors in zip(*layers, strict=True))
        for layers in zip(*states, strict=True)
    ]


def select_counts(model: TrainedModel, counts: str, plain: bool = False) -> TrainedModel:
    """Return the model with its counts ("auto"), without them ("none"), or only them ("only").

    A plain model is a network that has no counts and reads no primer.
    """
    require(COUNTS.accepts(counts), "counts", counts, COUNTS.requirement)
    if plain:
        require(counts != "only", "counts", counts, "plain=true takes no counts; leave one out")
        facts = {name: fact for name, fact in model.facts.items() if name != PRIMER_FACT}
        return replace(model, counts=None, facts=facts)
    if counts == "auto":
        return model
    if counts == "none":
        return replace(model, counts=None)
    if model.counts is None:
        raise InputError(
            "counts=only: the model has no counts; the model.safetensors of a run contains counts "
            "if they lower its loss; leave counts=only out"
        )
    return replace(model, counts=model.counts.only)


def parse_architecture(content: Mapping[str, Any]) -> Architecture:
    """Return the architecture in a file. Raise TypeError or InputError if it is invalid."""
    return Architecture(**{"skip": "none", **content})
