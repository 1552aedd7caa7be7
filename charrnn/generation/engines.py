"""Which engine writes: NumPy, the compiled loop of the extra ``fast``, or torch.

NumPy starts in a moment and is the fastest for a short text. torch steps every network, on a GPU
where there is one; the others step those that have one of charrnn's own cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Protocol

from charrnn import plugins
from charrnn.errors import InputError, install
from charrnn.generation.numpy_engine import (
    CELLS,
    Begin,
    CountedSteps,
    EnsembleSteps,
    NumpyEngine,
    NumpyNetwork,
    State,
)
from charrnn.generation.token_sampler import Array, Floats, Ids, Params
from charrnn.generation.weights import fold
from charrnn.models.trained import Trained, TrainedEnsemble

# The compiled loop costs 0.25 to 0.5 s to import and to load from its cache, and saves 10 to
# 15 microseconds a character (2 x 128, 2 x 256): it pays from 20,000 to 50,000 characters on.
COMPILED_FROM_CHARACTERS = 50_000
# Characters a second in one run on two cores, NumPy and compiled:
#               1 stream          4               16                64
#   2 x 128    59,000 134,000   52,000 220,000  139,000 204,000  212,000 276,000
#   2 x 512     9,400   7,600    6,900  19,000   21,000  21,000   27,000  26,000
#   3 x 1024      560     360      800   1,000    2,700   1,300    4,400   1,600
# One stream is faster compiled while a core's own cache holds its weights, several while the
# cache that the cores share does.
COMPILED_TO_WEIGHTS = 1_500_000
COMPILED_TO_WEIGHTS_OF_SEVERAL = 6_000_000


class Engine(Protocol):
    """What reads and writes; see `NumpyEngine`."""

    def read(self, ids: Ids, state: State) -> tuple[Array, State]: ...

    def advance(self, ids: Ids, state: State) -> State: ...

    def write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        params: Params,
        needed: Ids | None = None,
        texts: Sequence[Ids] | None = None,
    ) -> tuple[Ids, State]: ...


def make_engine(model: Trained, name: str, precision: int = 32) -> Engine:
    """The engine of a name (numpy, numba or torch) for a model or an ensemble.

    Args:
        precision: bits of a weight: 32, or 8 (int8), which the extra ``fast`` computes.

    Raises:
        InputError: what it needs is not installed, or it cannot step the model.
    """
    option, others = f"engine={name}", "use torch, or leave the option out"
    if precision == 8:
        if name != "numba":
            raise InputError(
                f"precision=8: engine={name} computes in float32 only; use numba, or leave the "
                f"option out"
            )
        option, others = "precision=8", "leave the option out"
    if len(model.members) > 1 and name == "numba":
        raise InputError(
            f"{option}: writes with one model, not with an ensemble; leave the option out"
        )
    if name == "torch":
        from charrnn.generation.torch_engine import TorchEngine

        return TorchEngine(model)
    if kinds := _kinds_without_kernel(model):
        raise InputError(f"{option}: has no kernel for a model of kind {kinds[0]}; {others}")
    if name == "numpy":
        return _numpy_engine(model)
    if not (fast := plugins.parts("engines")):
        raise InputError(f"{option}: needs the extra fast, which is not here; {others}")
    try:
        compiled: Engine = fast[0].compiled_engine(model, precision)
        return compiled
    except ImportError as error:
        raise InputError(
            f"{option}: needs numba ({error}); {install('fast')}, or leave the option out"
        ) from None


def reader_name(model: Trained, precision: int = 32) -> str:
    """The name of the engine that reads a text: numpy, or torch where NumPy cannot step it.

    Of int8 it is the one that there is.
    """
    if precision == 8:
        return "numba"
    return "torch" if _kinds_without_kernel(model) else "numpy"


def _kinds_without_kernel(model: Trained) -> list[str]:
    """The kinds of network among the model's that torch alone can step."""
    kinds = (member.architecture.kind for member in model.members)
    return [kind for kind in kinds if kind not in CELLS]


def _numpy_engine(model: Trained) -> NumpyEngine:
    networks = [NumpyNetwork(fold(member)) for member in model.members]
    begin: Begin = networks[0].begin
    if isinstance(model, TrainedEnsemble):
        begin = partial(EnsembleSteps, networks, model.shares)
    if model.counts is None:
        return NumpyEngine(begin, model.vocabulary)
    mixed = partial(CountedSteps, begin, model.counts)
    return NumpyEngine(mixed, model.vocabulary, normalizes=True)


def number_of_weights(model: Trained) -> int:
    """How many weights a step multiplies with: the embedding is only looked up."""
    return sum(
        w.size
        for member in model.members
        for name, w in member.weights.items()
        if w.ndim == 2 and "embedding" not in name
    )


def fastest(weights: int, streams: int, length: int) -> str:
    """The name of the engine that is done first in float32, of those that this machine has.

    Args:
        weights: how many; see `number_of_weights`.
        length: characters of each stream; the engine's start-up counts.
    """
    most = COMPILED_TO_WEIGHTS if streams < 4 else COMPILED_TO_WEIGHTS_OF_SEVERAL
    is_worthwhile = streams * length >= COMPILED_FROM_CHARACTERS and weights <= most
    return "numba" if is_worthwhile and _can_compile() else "numpy"


def _can_compile() -> bool:
    return find_spec("numba") is not None and bool(plugins.parts("engines"))
