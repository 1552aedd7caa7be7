"""The network: its layers, and what training drops.

A layer's output is normalized where the options say so, and then read by the layer above, or by
the decoder after the last. With skip connections more is read than the last output:

    none  a layer reads the output of the one below, the decoder that of the last
    sum   a layer reads the output of the one below, the decoder the sum of all outputs

Every share that is dropped is the probability with which a number is set to zero; what is kept is
scaled up by 1 / (1 - share), so evaluation needs no correction.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from charrnn import registry
from charrnn.errors import InputError
from charrnn.options.ranges import AT_LEAST_1, BELOW_1, FIXED, Range, check_ranges, one_of, require

KIND = Range(registry.is_known, registry.UNKNOWN)
SKIP = one_of("none", "sum")
PREFIX = "model."


@dataclass(frozen=True)
class LayerOptions:
    """The shape of a network, which a model file holds.

    Raises:
        InputError: a value is out of its range, or two do not go together.
    """

    kind: Annotated[str, KIND, FIXED] = "lstm"
    embedding_size: Annotated[int, AT_LEAST_1, FIXED] = 64
    hidden_size: Annotated[int | None, AT_LEAST_1, FIXED] = None
    num_layers: Annotated[int, AT_LEAST_1, FIXED] = 2
    dropout: Annotated[float | None, BELOW_1] = None
    batchnorm: Annotated[bool, FIXED] = False
    skip: Annotated[str, SKIP, FIXED] = "none"

    def __post_init__(self) -> None:
        registry.find(self.kind)
        check_ranges(self, PREFIX)


@dataclass(frozen=True)
class Regularization:
    """What is dropped or tied in training only: the model that comes out knows none of it.

    Raises:
        InputError: a value is out of its range.
    """

    output_dropout: Annotated[float | None, BELOW_1] = None
    embedding_dropout: Annotated[float, BELOW_1] = 0.0
    recurrent_dropout: Annotated[float, BELOW_1] = 0.0
    weight_dropout: Annotated[float, BELOW_1] = 0.0
    locked_dropout: bool = False
    label_smoothing: Annotated[float, BELOW_1] = 0.0
    tied: Annotated[bool, FIXED] = False

    def __post_init__(self) -> None:
        check_ranges(self, PREFIX)

    def require_fits(self, layers: LayerOptions) -> None:
        """Raise InputError if a network of these layers cannot have it."""
        kind, cell = layers.kind, registry.cell_of(layers.kind)
        if cell is None:
            for field in fields(Regularization):
                value = getattr(self, field.name)
                require(
                    value == field.default,
                    PREFIX + field.name,
                    str(value).lower(),
                    f"is for charrnn's own network, which a {kind} is not; leave it out",
                )
            return
        for name in ("recurrent_dropout", "weight_dropout"):
            share = getattr(self, name)
            require(
                cell.recurrent or not share,
                PREFIX + name,
                share,
                f"a {kind} has no recurrent weights; leave it out",
            )
        read, hidden = layers.embedding_size, layers.hidden_size
        if self.tied and hidden not in (None, read):
            raise InputError(
                f"model.tied=true: the embedding has {read} numbers a character and the "
                f"decoder {hidden}; give model.embedding_size={hidden}"
            )


@dataclass(frozen=True)
class NetworkOptions(Regularization, LayerOptions):
    """The network that is trained, all but the size of its vocabulary.

    `LanguageModel` takes these fields and ``charrnn train`` has them as ``model.NAME=``; a line on
    each stands in ``conf/base/model.yaml``, which ``charrnn train --help`` prints. None is what
    ``charrnn train`` chooses by the text; `LanguageModel` then takes the default of `Architecture`.

    Raises:
        InputError: a value is out of its range, or two do not go together.
    """

    def __post_init__(self) -> None:
        LayerOptions.__post_init__(self)
        self.require_fits(self)
