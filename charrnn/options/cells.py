"""The options of a network, and the recurrent cells, which differ in what a `Cell` describes.

A new cell is another entry of `CELLS`. Networks, files, evaluation, and sampling with torch need
only its description. NumPy samples with charrnn's cells (`charrnn.generation`). A checkpoint or
model file contains only the name of its cell.

The torch module is imported when a network is built, so options are checked and model files are
sampled without torch.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from charrnn.options.ranges import Options, Range, interval, one_of

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent layer.

    Attributes:
        gates: a letter for each block of H rows in the stacked weights, in PyTorch's order.
        carried: the names of the vectors (H,) that are carried from character to character. The
            first is the hidden vector, the output of the layer.
        module: the torch module, as `package.module.Class` or the class. It has the interface of
            nn.GRU: it is created with `(input_size, hidden_size, batch_first=True)`, and called
            with inputs (N, T, D) and the carried tensor (1, N, H), a tuple of several, or None for
            zeros. It returns the hidden vectors (N, T, H) and the new carried tensors. It draws no
            random numbers. Its weights have the names and shapes of `shapes`.
        recurrent: whether it multiplies its hidden vector with weights.
        separate_sums: the gates whose recurrent sum is not simply added to their input sum.
        sigmoids: the gates that are a sigmoid of their sum, from 0 (closed) to 1 (open).
        initial_biases: the initial biases of gates; all others are 0.
    """

    gates: str
    carried: tuple[str, ...]
    module: str | Callable[..., Any]
    recurrent: bool = True
    separate_sums: str = ""
    sigmoids: str = ""
    initial_biases: Mapping[str, float] = field(default_factory=dict)

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each weight, like in the module's ``state_dict``."""
        rows = len(self.gates) * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih_l0": (rows, input_size),
            "weight_hh_l0": (rows, hidden_size),
            "bias_ih_l0": (rows,),
            "bias_hh_l0": (rows,),
        }
        return {n: shape for n, shape in shapes.items() if self.recurrent or "_hh_" not in n}

    def rows(self, gate: str, hidden_size: int) -> slice:
        """Return the rows of a gate in the stacked weights."""
        first = self.gates.index(gate) * hidden_size
        return slice(first, first + hidden_size)

    def layer(self, input_size: int, hidden_size: int) -> nn.Module:
        """Create the torch module of a layer, with torch's initial weights."""
        make = pkgutil.resolve_name(self.module) if isinstance(self.module, str) else self.module
        return make(input_size, hidden_size, batch_first=True)


CELLS = {
    "lstm": Cell(
        gates="ifgo",
        carried=("h", "c"),
        module="torch.nn.LSTM",
        sigmoids="ifo",
        initial_biases={"f": 1.0},
    ),
    "gru": Cell(
        gates="rzn",
        carried=("h",),
        module="torch.nn.GRU",
        separate_sums="n",  # r multiplies it first
        sigmoids="rz",
    ),
    "rnn": Cell(gates="h", carried=("h",), module="torch.nn.RNN"),
}
KIND = Range(
    lambda name: name in CELLS,
    f"must be one of {', '.join(CELLS)}; a script may add a cell to charrnn.CELLS",
)


@dataclass(frozen=True)
class NetworkOptions(Options):
    """The options of a network: arguments of `LanguageModel`, and ``model.NAME=``.

    ``conf/base/model.yaml`` explains each field, and ``charrnn train --help`` prints it. For
    None, ``charrnn train`` chooses a value by the length of the text, and `LanguageModel` takes
    the default of `Architecture`. A model file contains these fields.
    """

    PREFIX = "model."

    kind: Annotated[str, KIND] = "lstm"
    embedding_size: Annotated[int, interval(ge=1)] = 64
    hidden_size: Annotated[int | None, interval(ge=1)] = None
    num_layers: Annotated[int, interval(ge=1)] = 2
    dropout: Annotated[float | None, interval(ge=0, lt=1)] = None
    batchnorm: bool = False
    skip: Annotated[str, one_of("none", "sum")] = "sum"
