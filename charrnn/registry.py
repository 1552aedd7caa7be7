"""The kinds of network, by name: charrnn's cells, and cells and networks that others bring.

    charrnn's own cells     `charrnn.cells.CELLS`
    given from Python       `register_cell`, `register_network`
    of installed packages   entry points of the groups charrnn.cells and charrnn.networks

A checkpoint or a model file holds the name alone; what it stands for is never said by a file. An
architecture here is a `charrnn.models.trained.Architecture`, which asks this module for shapes.
torch is needed only where a network is built.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from charrnn.cells import CELLS, Cell
from charrnn.errors import InputError, one_line, shown

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor, nn


class CharacterNetwork(Protocol):
    """What a network of one's own must have, besides being a `torch.nn.Module`.

    It is made by ``MyNetwork(architecture)``, on any device, and keeps that `architecture`: the
    sizes that were asked for, of which it uses what it likes, and `vocabulary_size`, which it must
    have. Its ``state_dict`` holds tensors of floating-point numbers.
    """

    architecture: Any

    def __call__(
        self, ids: Tensor, state: list[tuple[Tensor, ...]] | None = None
    ) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """The scores of the characters that follow, and what is carried on.

        Args:
            ids: (N, T) from 0: N streams side by side. T may differ from call to call.
            state: what the call before returned for these N streams; None is a state of zeros.

        Returns:
            Logits (N, T, V), and a list of tuples of tensors whose first axis is the stream.
        """
        ...


MakeNetwork = Callable[[Any], Any]

_registered: dict[str, Cell | MakeNetwork] = {}

UNKNOWN = (
    f"is neither built in ({', '.join(CELLS)}) nor registered here; "
    f"install the package that brings it"
)


class UnknownKind(InputError):
    """A kind of network that is neither charrnn's nor registered here."""


def register_cell(name: str, cell: Cell) -> None:
    """Let `name` be charrnn's own network around a cell of yours; a later cell replaces it.

    Raises:
        InputError: the name is one of charrnn's own, or no name.
        TypeError: `cell` is no `charrnn.Cell`.
    """
    if not isinstance(cell, Cell):
        raise TypeError(f"a cell is described by a charrnn.Cell, not by {cell!r}")
    _register(name, cell)


def register_network(name: str, network: MakeNetwork) -> None:
    """Let `name` be a network of yours, all of it; a later one replaces it.

    Args:
        network: makes a `CharacterNetwork` of an `Architecture`; its class, say.

    Raises:
        InputError: the name is one of charrnn's own, or no name.
        TypeError: `network` cannot be called.
    """
    if isinstance(network, Cell) or not callable(network):
        raise TypeError(f"a network is made by a class or a function, not by {network!r}")
    _register(name, network)


def _register(name: str, kind: Cell | MakeNetwork) -> None:
    _require_name(name)
    if name in CELLS:
        raise InputError(f"model.kind={name}: is charrnn's own; choose another name")
    _registered[name] = kind
    network_zero_state.cache_clear()


def _require_name(name: str) -> None:
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        quoted = shown(" ".join(str(name).split()), 60)
        raise InputError(f"model.kind={quoted}: is no name; one has letters, digits, _ and -")


def find(name: str) -> Cell | MakeNetwork:
    """What a name stands for: a cell, or what makes a network.

    Raises:
        UnknownKind: nothing here.
        InputError: it is no name, or the package that brings it cannot be imported.
    """
    _require_name(name)
    if name not in CELLS and name not in _registered:
        _register_installed(name)
    if (kind := CELLS.get(name) or _registered.get(name)) is None:
        raise UnknownKind(f"model.kind={shown(name, 60)}: {UNKNOWN}")
    return kind


def _register_installed(name: str) -> None:
    from importlib.metadata import entry_points  # costs a start that needs none

    groups = (("charrnn.cells", register_cell), ("charrnn.networks", register_network))
    register: Callable[[str, Any], None]
    for group, register in groups:
        for point in entry_points(group=group, name=name):
            try:
                register(name, point.load())
            except Exception as error:  # whatever somebody's module does as it is imported
                raise InputError(
                    f"model.kind={name}: {point.value}, which an installed package brings for it, "
                    f"cannot be used ({one_line(error, kind=True)})"
                ) from error


def is_known(name: str) -> bool:
    """Whether a name stands for anything here; InputError if its package cannot be imported."""
    try:
        find(name)
    except UnknownKind:
        return False
    return True


def cell_of(name: str) -> Cell | None:
    """The cell of a kind; None for a network of somebody's own."""
    kind = find(name)
    return kind if isinstance(kind, Cell) else None


def build_network(architecture: Any) -> nn.Module:
    """The network that somebody registered for this architecture, which was tried out.

    Raises:
        InputError: it cannot be made, or is not what `CharacterNetwork` says.
    """
    network = _make(architecture)
    _try(network, architecture)
    return network


def network_shapes(architecture: Any) -> dict[str, tuple[int, ...]]:
    """Name and shape of each weight of a network that somebody registered."""
    import torch

    with torch.device("meta"), torch.random.fork_rng(devices=[]):  # nothing is allocated
        network = _make(architecture)
    return {name: tuple(weight.shape) for name, weight in network.state_dict().items()}


@functools.lru_cache(maxsize=16)
def network_zero_state(architecture: Any) -> list[tuple[npt.NDArray[Any], ...]]:
    """The state of no streams (0, ...) of a network that somebody registered."""
    import torch

    with torch.random.fork_rng(devices=[]):
        state = _try(_make(architecture), architecture)
    return [tuple(part[:0].numpy() for part in layer) for layer in state]


def _make(architecture: Any) -> nn.Module:
    import torch

    where, make = f"model.kind={architecture.kind}", find(architecture.kind)
    try:
        network = make(architecture)  # type: ignore[operator]  # it is no cell
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{where}: cannot be made ({one_line(error, kind=True)})") from error
    if not isinstance(network, torch.nn.Module) or (
        getattr(network, "architecture", None) != architecture
    ):
        raise InputError(f"{where}: must be a torch.nn.Module that keeps its architecture")
    for name, weight in network.state_dict().items():
        if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
            raise InputError(
                f"{where}: its {name} is no tensor of floating-point numbers, and a model file "
                f"holds nothing else; register it with persistent=False"
            )
    return network


def _try(network: nn.Module, architecture: Any) -> list[tuple[Tensor, ...]]:
    """Call a network twice on two streams; returns the state after it."""
    import torch

    ids, state = torch.zeros(2, 3, dtype=torch.int64), None
    shape, training = (*ids.shape, architecture.vocabulary_size), network.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for _ in range(2):
                logits, state = network.eval()(ids, state)
        if logits.shape != shape:
            raise ValueError(f"its logits are {tuple(logits.shape)}")
        if not isinstance(state, list) or any(len(p) != len(ids) for layer in state for p in layer):
            raise ValueError("its state is of another form")
    except Exception as error:
        raise InputError(
            f"model.kind={architecture.kind}: must return logits {shape} for ids (2, 3), and as "
            f"its state a list of tuples of tensors whose first axis is the stream "
            f"({one_line(error, kind=True)})"
        ) from error
    network.train(training)
    return state
