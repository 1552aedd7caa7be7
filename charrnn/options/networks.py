"""The network: its layers, and what training drops of their outputs.

A layer's output is normalized where the options say so, and then read by the layer above, or by
the decoder after the last. With skip connections more is read than the last output:

    none  a layer reads the output of the one below, the decoder that of the last
    sum   a layer reads the output of the one below, the decoder the sum of all outputs

`dropout` is the probability with which a number of a layer's output is set to zero in training;
what is kept is scaled up by 1 / (1 - dropout), so evaluation needs no correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.cells import UNKNOWN, find_cell, is_cell
from charrnn.options.ranges import AT_LEAST_1, BELOW_1, FIXED, Range, check_ranges, one_of

SKIP = one_of("none", "sum")
PREFIX = "model."

KIND = Range(is_cell, UNKNOWN)


@dataclass(frozen=True)
class NetworkOptions:
    """A network, all but the size of its vocabulary; a model file holds these fields.

    `LanguageModel` takes them and ``charrnn train`` has them as ``model.NAME=``; a line on each
    stands in ``conf/base/model.yaml``, which ``charrnn train --help=all`` prints. None is what
    ``charrnn train`` chooses by the text; `LanguageModel` then takes the default of `Architecture`.

    Raises:
        InputError: a value is out of its range, or two do not go together.
    """

    kind: Annotated[str, KIND, FIXED] = "lstm"
    embedding_size: Annotated[int, AT_LEAST_1, FIXED] = 64
    hidden_size: Annotated[int | None, AT_LEAST_1, FIXED] = None
    num_layers: Annotated[int, AT_LEAST_1, FIXED] = 2
    dropout: Annotated[float | None, BELOW_1] = None
    batchnorm: Annotated[bool, FIXED] = False
    skip: Annotated[str, SKIP, FIXED] = "sum"

    def __post_init__(self) -> None:
        find_cell(self.kind)
        check_ranges(self, PREFIX)
