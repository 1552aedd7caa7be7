"""The recurrent cells: one entry each, with everything that differs from one to another.

    charrnn's own           an entry of `CELLS`
    given from Python       `register_cell`
    of installed packages   an entry point of the group charrnn.cells

The network, the shapes of its weights, the state that it carries, its files and its evaluation
follow from the entry, and so does sampling with torch. Other engines have kernels for some cells
(`charrnn.generation`). A checkpoint or a model file holds the name alone; what it stands for is
never said by a file.

A cell's torch module is named here and imported when a network is built: a text can be
sampled from a model file, and every option be checked, without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from charrnn.errors import InputError, shorten, to_one_line

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Cell:
    """One kind of recurrent layer.

    Attributes:
        gates: one letter for each block of H rows in its stacked weights, in PyTorch's order.
        carried: what it takes from one character to the next, a vector (H,) each; the first
            one is the hidden vector that the layer above reads.
        module: the torch module, as `package.module.Class` or the class itself. It is called as
            nn.GRU is, with `(input_size, hidden_size, batch_first=True)`, then with inputs
            (N, T, D) and the carried tensors (1, N, H) or None (a tuple where there are
            several), and returns the hidden vectors (N, T, H) and the tensors that it carries
            on. None stands for zeros. It draws no random numbers, and its weights are named and
            shaped as `shapes` says.
        recurrent: whether it multiplies its own hidden vector with weights.
        separate_sums: the gates whose recurrent sum is not simply added to what they read.
        sigmoids: the gates that are a sigmoid of their sum, between 0 (shut) and 1 (open).
        initial_biases: what the bias of a gate begins with; those of the others begin with 0.
    """

    gates: str
    carried: tuple[str, ...]
    module: str | Callable[..., Any]
    recurrent: bool = True
    separate_sums: str = ""
    sigmoids: str = ""
    initial_biases: Mapping[str, float] = field(default_factory=dict)

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight of a layer, as in its module's ``state_dict``."""
        rows = len(self.gates) * hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih_l0": (rows, input_size)}
        if self.recurrent:
            shapes["weight_hh_l0"] = (rows, hidden_size)
        shapes["bias_ih_l0"] = (rows,)
        if self.recurrent:
            shapes["bias_hh_l0"] = (rows,)
        return shapes

    def rows(self, gate: str, hidden_size: int) -> slice:
        """Where a gate lies in the stacked weights."""
        place = self.gates.index(gate)
        return slice(place * hidden_size, (place + 1) * hidden_size)

    def layer(self, input_size: int, hidden_size: int) -> nn.Module:
        """A torch module of such a layer, as torch initializes it."""
        make = self.module
        if isinstance(make, str):
            module, _, name = make.rpartition(".")
            make = getattr(import_module(module), name)
        layer: nn.Module = make(input_size, hidden_size, batch_first=True)
        return layer


CELLS: dict[str, Cell] = {
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
        separate_sums="n",  # r is multiplied with it first
        sigmoids="rz",
    ),
    "rnn": Cell(gates="h", carried=("h",), module="torch.nn.RNN"),
}

UNKNOWN = (
    f"is neither built in ({', '.join(CELLS)}) nor registered here; "
    f"install the package that brings it"
)
_registered: dict[str, Cell] = {}


def register_cell(name: str, cell: Cell) -> None:
    """Let `name` be a cell of yours; a later one replaces it.

    Raises:
        InputError: the name is one of charrnn's own, or no name.
        TypeError: `cell` is no `charrnn.Cell`.
    """
    if not isinstance(cell, Cell):
        raise TypeError(f"a cell is described by a charrnn.Cell, not by {cell!r}")
    if name in CELLS or not name.replace("-", "_").isidentifier():
        raise InputError(
            f"model.kind={shorten(name, 60)}: is a cell of charrnn, or not a name (letters, "
            f"digits, _ and -)"
        )
    _registered[name] = cell


def is_cell(name: str) -> bool:
    """Whether a name stands for a cell; InputError if the package of it cannot be imported."""
    if name not in CELLS and name not in _registered:
        _register_installed(name)
    return name in CELLS or name in _registered


def find_cell(name: str) -> Cell:
    """The cell of a name; InputError if there is none."""
    if not isinstance(name, str) or not is_cell(name):
        raise InputError(f"model.kind={shorten(name, 60)}: {UNKNOWN}")
    return CELLS.get(name) or _registered[name]


def _register_installed(name: str) -> None:
    from importlib.metadata import entry_points  # costs a start that needs none

    for point in entry_points(group="charrnn.cells", name=name):
        try:
            register_cell(name, point.load())
        except Exception as error:  # whatever somebody's module does as it is imported
            raise InputError(
                f"model.kind={name}: {point.value}, which an installed package brings for it, "
                f"cannot be used ({to_one_line(error, with_type=True)})"
            ) from error
