"""The kinds of network, by name: charrnn's cells, and cells and networks that others bring.

    charrnn's own cells     `charrnn.cells.CELLS`
    given from Python       `register_cell`, `register_network`
    of installed packages   entry points of the groups charrnn.cells and charrnn.networks, looked
                            up when a name is met that is none of the others

A checkpoint or a model file holds the name alone. What the name stands for is said by the
packages that are installed here, and by the program that calls charrnn: never by a file.

This module needs NumPy and torch only where a network is built.
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

    from charrnn.models.trained import Architecture

CELL_GROUP, NETWORK_GROUP = "charrnn.cells", "charrnn.networks"


class CharacterNetwork(Protocol):
    """What a network of one's own must have, besides being a `torch.nn.Module`.

    It is made by ``MyNetwork(architecture)``, on any device, with weights that torch's global
    random numbers may decide. Everything in its ``state_dict`` is a tensor of floating-point
    numbers. It is called with no more than ids and a state.

    Attributes:
        architecture: that which it was made with: the sizes that were asked for, of which it
            uses what it likes, and `vocabulary_size`, which it must have.
    """

    architecture: Architecture

    def __call__(
        self, ids: Tensor, state: list[tuple[Tensor, ...]] | None = None
    ) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """The scores of the characters that follow, and what is carried on.

        Args:
            ids: (N, T) from 0: N streams side by side. T may differ from call to call.
            state: what the call before returned for these N streams; None is a state of zeros.

        Returns:
            Logits (N, T, V), and a list of tuples of tensors whose first axis is the stream.
            Gradients may flow through them; who carries them on cuts that off.
        """
        ...


MakeNetwork = Callable[["Architecture"], Any]

_registered: dict[str, Cell | MakeNetwork] = {}


class UnknownKind(InputError):
    """A kind of network that is neither charrnn's nor registered here."""


UNKNOWN = (
    f"is neither built in ({', '.join(CELLS)}) nor registered here; "
    f"install the package that brings it"
)


def register_cell(name: str, cell: Cell) -> None:
    """Let `name` be a kind of network: charrnn's own, around a cell of yours.

    A name that was registered before stands for the new cell from now on.

    Raises:
        InputError: the name is one of charrnn's own, or no name.
        TypeError: `cell` is no `charrnn.Cell`.
    """
    if not isinstance(cell, Cell):
        raise TypeError(f"a cell is described by a charrnn.Cell, not by {cell!r}")
    _register(name, cell)


def register_network(name: str, network: MakeNetwork) -> None:
    """Let `name` be a kind of network: one of yours, all of it.

    A name that was registered before stands for the new network from now on.

    Args:
        network: makes a `CharacterNetwork` of an `Architecture`; its class, say.

    Raises:
        InputError: the name is one of charrnn's own, or no name.
        TypeError: `network` cannot be called.
    """
    if isinstance(network, Cell) or not callable(network):
        raise TypeError(f"a network is made by a class or a function, not by {network!r}")
    _register(name, network)


def _register(name: str, what: Cell | MakeNetwork) -> None:
    _require_name(name)
    if name in CELLS:
        raise InputError(f"model.kind={name}: is charrnn's own; choose another name")
    _registered[name] = what
    _zero_state.cache_clear()


def _require_name(name: str) -> None:
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        written = " ".join(str(name).split())
        raise InputError(
            f"model.kind={shown(written, 60)}: is no name; one has letters, digits, _ and -"
        )


def find(kind: str) -> Cell | MakeNetwork:
    """What a name stands for: a cell, or what makes a network.

    Raises:
        UnknownKind: nothing here.
        InputError: it is no name, or the package that brings it cannot be imported.
    """
    _require_name(kind)
    if (found := CELLS.get(kind) or _registered.get(kind)) is None:
        _look_among_installed(kind)
        found = _registered.get(kind)
    if found is None:
        raise UnknownKind(f"model.kind={shown(kind, 60)}: {UNKNOWN}")
    return found


def is_known(kind: str) -> bool:
    """Whether a name stands for anything here.

    Raises:
        InputError: the package that brings it cannot be imported.
    """
    try:
        find(kind)
    except UnknownKind:
        return False
    return True


def cell_of(kind: str) -> Cell | None:
    """The cell of a kind; None for a network of somebody's own."""
    found = find(kind)
    return found if isinstance(found, Cell) else None


def _look_among_installed(kind: str) -> None:
    from importlib.metadata import entry_points  # costs a start that needs none

    for group, register in ((CELL_GROUP, register_cell), (NETWORK_GROUP, register_network)):
        for point in entry_points(group=group, name=kind):
            try:
                register(kind, point.load())
            except Exception as error:  # whatever somebody's module does as it is imported
                raise InputError(
                    f"model.kind={kind}: {point.value}, which an installed package brings for it, "
                    f"cannot be used ({one_line(error, kind=True)})"
                ) from error


# -- networks of one's own ------------------------------------------------------------------


def make_own(architecture: Architecture) -> nn.Module:
    """The network that somebody registered for this architecture, which was tried out.

    Raises:
        InputError: it cannot be made, or is not what `CharacterNetwork` says.
    """
    network = _made(architecture)
    _tried(network, architecture)
    return network


def own_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Name and shape of each weight of a network that somebody registered.

    Raises:
        InputError: it cannot be made.
    """
    import torch

    with torch.device("meta"), torch.random.fork_rng(devices=[]):  # nothing is allocated
        network = _made(architecture)
    return {name: tuple(weight.shape) for name, weight in network.state_dict().items()}


def own_zero_state(architecture: Architecture) -> list[tuple[npt.NDArray[Any], ...]]:
    """The state of no streams (0, ...) of a network that somebody registered."""
    return _zero_state(architecture)


@functools.lru_cache(maxsize=16)
def _zero_state(architecture: Architecture) -> list[tuple[npt.NDArray[Any], ...]]:
    import torch

    with torch.random.fork_rng(devices=[]):
        network = _made(architecture)
    state = _tried(network, architecture)
    return [tuple(part[:0].numpy() for part in layer) for layer in state]


def _made(architecture: Architecture) -> nn.Module:
    import torch

    where = f"model.kind={architecture.kind}"
    make = find(architecture.kind)
    assert not isinstance(make, Cell)
    try:
        network = make(architecture)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{where}: cannot be made ({one_line(error, kind=True)})") from error
    if not isinstance(network, torch.nn.Module):
        raise InputError(f"{where}: is made as {type(network).__name__}, not as a torch.nn.Module")
    if getattr(network, "architecture", None) != architecture:
        raise InputError(f"{where}: must keep the architecture that it is made with, as its own")
    for name, weight in network.state_dict().items():
        if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
            raise InputError(
                f"{where}: its {name} is no tensor of floating-point numbers, and a model file "
                f"holds nothing else; register it with persistent=False"
            )
    return network


def _tried(network: nn.Module, architecture: Architecture) -> list[tuple[Tensor, ...]]:
    """Call a network twice, on two streams; returns the state after it."""
    import torch

    where, V = f"model.kind={architecture.kind}", architecture.vocabulary_size
    training, ids = network.training, torch.zeros(2, 3, dtype=torch.int64)
    state: Any = None
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            network.eval()
            for _ in range(2):
                returned = network(ids, state)
                if not isinstance(returned, tuple) or len(returned) != 2:
                    what = type(returned).__name__
                    raise InputError(f"{where}: returns {what}, not logits and a state")
                logits, state = returned
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{where}: fails when it is called with ids (2, 3) ({one_line(error, kind=True)})"
        ) from error
    finally:
        network.train(training)
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, 3, V):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise InputError(f"{where}: returns logits {got} for ids (2, 3), not (2, 3, {V})")
    if not isinstance(state, list) or not all(
        isinstance(layer, tuple)
        and all(isinstance(part, torch.Tensor) and part.shape[:1] == (2,) for part in layer)
        for layer in state
    ):
        raise InputError(
            f"{where}: returns a state that is no list of tuples of tensors whose first axis is "
            f"the stream"
        )
    return state
