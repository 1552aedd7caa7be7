"""What every kind of file is read into: an architecture, a vocabulary, and weights.

Several trained models are used as one (`TrainedEnsemble`), whose prediction is the weighted mean of
their probabilities.

This module needs NumPy only, so that a text can be sampled without torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any, get_type_hints

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts, Weights
from charrnn.errors import InputError
from charrnn.options.cells import Cell, find_cell
from charrnn.options.networks import NetworkOptions
from charrnn.options.ranges import AT_LEAST_1, BELOW_1, COUNTS, ENCODING, require
from charrnn.text.vocabulary import Vocabulary

# the weights that have a row for each character
BY_CHARACTER = ("embedding.weight", "decoder.weight", "decoder.bias")
BATCHNORM_EPS = 1e-5  # PyTorch's default, and torch-rnn's

# For each layer the vectors (N, H) that its cell carries, one row for each stream. The layers of an
# ensemble are those of its members, one after another. If counts are mixed in, the nodes (N, K) of
# their contexts are the last entry.
State = list[tuple[npt.NDArray[Any], ...]]


@dataclass(frozen=True)
class Architecture(NetworkOptions):
    """Everything that fixes the shapes of a network's weights: its options, and its vocabulary."""

    hidden_size: Annotated[int, AT_LEAST_1] = 128
    dropout: Annotated[float, BELOW_1] = 0.0
    vocabulary_size: int = 0  # one of its own for each text; 0 is refused

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocabulary_size < 1:
            raise InputError("the vocabulary is empty")

    @classmethod
    def of(cls, options: NetworkOptions, vocabulary_size: int) -> Architecture:
        """That of options, with the defaults above where they say nothing."""
        chosen = {f.name: getattr(options, f.name) for f in fields(NetworkOptions)}
        given = {name: value for name, value in chosen.items() if value is not None}
        return cls(**given, vocabulary_size=vocabulary_size)

    @property
    def cell(self) -> Cell:
        """The cell of its layers."""
        return find_cell(self.kind)

    def zero_state(self, streams: int) -> State:
        """Return the state of N streams before their first character."""
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
    def loss(self) -> float | None:
        """Its validation loss as it writes, in nats per character; None where it is not known."""
        return loss_of(self.facts)

    @property
    def encoding(self) -> str:
        """That of the text that it was trained on; ``bytes`` of a vocabulary of bytes."""
        named: Any = "bytes" if self.vocabulary.is_bytes else self.facts.get("encoding")
        return named if ENCODING.accepts(named) else "utf-8"  # anybody may have made the file

    def __post_init__(self) -> None:
        if self.architecture.vocabulary_size != len(self.vocabulary):
            raise InputError(
                f"its vocabulary has {len(self.vocabulary)} characters, "
                f"its architecture {self.architecture.vocabulary_size}"
            )
        if self.counts is not None and self.counts.table.vocabulary_size != len(self.vocabulary):
            raise InputError("its counts are those of another vocabulary")
        if self.architecture.num_layers > len(self.weights):  # before 2**60 shapes are made
            raise InputError(f"its weights are not those of {self.architecture.num_layers} layers")
        shapes = self.architecture.shapes()
        for name in {**shapes, **self.weights}:
            if name not in shapes:
                raise InputError(f"its weight {name} has no place in this {self.architecture.kind}")
            if name not in self.weights:
                raise InputError(f"its weight {name} is missing")
            weight = self.weights[name]
            if weight.shape != shapes[name]:
                raise InputError(f"its weight {name} is {weight.shape}, not {shapes[name]}")
            if not np.isfinite(weight).all():
                raise InputError(f"its weight {name} holds numbers that are not finite")
            if name.endswith("running_var") and weight.min() < 0:
                raise InputError(f"its {name} holds a negative variance")


LOSS_WITH_COUNTS = "val_loss_with_counts"  # a fact of a model that has counts


def loss_of(facts: Mapping[str, Any]) -> float | None:
    """The loss of a model as it writes, of its facts: with its counts, where it has them."""
    loss = facts.get(LOSS_WITH_COUNTS, facts.get("val_loss"))
    return loss if isinstance(loss, float) and math.isfinite(loss) else None


@dataclass(frozen=True)
class TrainedEnsemble:
    """Two or more models with one vocabulary.

    Attributes:
        weights: of the members' probabilities, in proportion; None: all the same.
    """

    members: tuple[TrainedModel, ...]
    weights: tuple[float, ...] | None = None

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights (M,) of the mean, which sum to 1."""
        weights = self.weights or (1.0,) * len(self.members)
        return tuple(weight / sum(weights) for weight in weights)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.members[0].vocabulary

    @property
    def facts(self) -> dict[str, Any]:
        """The first one's: where its data lies, and how it was read."""
        return self.members[0].facts

    @property
    def encoding(self) -> str:
        """That of the text that the first one was trained on."""
        return self.members[0].encoding

    @property
    def counts(self) -> Counts | None:
        """The members' counts where all have the same, with the mean of their weights."""
        counts = [member.counts for member in self.members]
        first = counts[0]
        if first is None or not all(c is not None and first.same_table(c) for c in counts):
            return None
        theirs = [c.weights for c in counts if c is not None]
        weights = np.average(theirs, axis=0, weights=self.shares)
        return Counts(first.table, Weights.of(weights))


Trained = TrainedModel | TrainedEnsemble


def zero_state(model: Trained, streams: int) -> State:
    """Return the state of N streams of a model before their first character."""
    layers = [layer for m in model.members for layer in m.architecture.zero_state(streams)]
    if model.counts is None:
        return layers
    return [*layers, (model.counts.table.zero_state(streams),)]


def with_counts(trained: Trained, counts: str) -> Trained:
    """A model as it is to be used: with its counts, where it has some, without them, or as those.

    Args:
        counts: "auto", "none" or "only".

    Raises:
        InputError: it is none of these, or there are no counts and they are to be all.
    """
    require(COUNTS.accepts(counts), "counts", counts, COUNTS.requirement)
    if counts == "auto":
        return trained
    if counts == "only" and trained.counts is None:
        raise InputError(
            "counts=only: the model has none; a training writes them into its run's "
            "model.safetensors, where they help"
        )

    def used(model: TrainedModel) -> TrainedModel:
        only = model.counts.only if model.counts and counts == "only" else None
        return replace(model, counts=only)

    if isinstance(trained, TrainedModel):
        return used(trained)
    return replace(trained, members=tuple(map(used, trained.members)))


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
