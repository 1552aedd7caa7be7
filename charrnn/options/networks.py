"""The options of the network: its cell, its layers and its dropout.

Each layer reads the output of the layer below, which batch normalization changes first if
`batchnorm` is true. `skip` chooses the input of the decoder:

    none  the output of the last layer
    sum   the sum of the outputs of all layers

`dropout` is the probability of zeroing each element of a layer's output in training. The other
elements are scaled by 1 / (1 - dropout), as in torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.cells import UNKNOWN, is_cell
from charrnn.options.ranges import AT_LEAST_1, BELOW_1, FIXED, Range, check_ranges, one_of

PREFIX = "model."


@dataclass(frozen=True)
class NetworkOptions:
    """The options of a network: arguments of `LanguageModel`, and ``model.NAME=``.

    ``conf/base/model.yaml`` explains each field, and ``charrnn train --help=all`` prints it. For
    None, ``charrnn train`` chooses a value by the length of the text, and `LanguageModel` takes
    the default of `Architecture`. A model file contains these fields.
    """

    kind: Annotated[str, Range(is_cell, UNKNOWN), FIXED] = "lstm"
    embedding_size: Annotated[int, AT_LEAST_1, FIXED] = 64
    hidden_size: Annotated[int | None, AT_LEAST_1, FIXED] = None
    num_layers: Annotated[int, AT_LEAST_1, FIXED] = 2
    dropout: Annotated[float | None, BELOW_1] = None
    batchnorm: Annotated[bool, FIXED] = False
    skip: Annotated[str, one_of("none", "sum"), FIXED] = "sum"

    def __post_init__(self) -> None:
        check_ranges(self, PREFIX)
