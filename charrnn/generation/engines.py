"""Which engine writes: plain NumPy, the compiled loop, or torch on a GPU.

torch steps every cell. NumPy, which starts in a moment and is the fastest for a short text,
and the compiled loop of the extra ``fast`` have kernels of their own for some cells; for a
cell that they do not have, another engine is taken.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Protocol

from charrnn.errors import InputError, install
from charrnn.generation import filters, numpy_layers
from charrnn.generation.combined import CombinedEngine, CountedEngine, EnsembleEngine
from charrnn.generation.numpy_engine import NumpyEngine
from charrnn.generation.state import State
from charrnn.generation.token_sampler import FLOAT, Floats, Ids, Params
from charrnn.generation.weights import Array, Folded, fold
from charrnn.models.ensemble import Trained, TrainedEnsemble
from charrnn.options.sampling import ENGINES, SamplingParams

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

# NumPy has no products of whole numbers, and a call for each operation: the definition writes some
# 5,000 characters a second, the compiled loop fifty times as many.
COMPILED_IN_WHOLE_NUMBERS_FROM_CHARACTERS = 4_000

# A step on a GPU is some 20 kernels, a quarter of a millisecond whatever the batch, and torch
# with CUDA takes seconds to start: it pays where a processor core would need a minute or more
# (at about 20 billion multiplications a second) with more than that quarter millisecond a step.
GPU_FROM_MULTIPLICATIONS = 10**12
GPU_FROM_MULTIPLICATIONS_A_STEP = 10**7


class Engine(Protocol):
    """What writes; see `NumpyEngine.write`."""

    def write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        params: Params,
        needed: Ids | None = None,
        texts: Sequence[Ids] | None = None,
    ) -> tuple[Ids, State]: ...


class Reader(Engine, Protocol):
    """What takes in known characters, too; see `NumpyEngine`."""

    def read(self, ids: Ids, state: State) -> tuple[Array, State]: ...

    def advance(self, ids: Ids, state: State) -> State: ...


def has_kernel(engine: str, kind: str, precision: int = 32) -> bool:
    """Whether an engine can step a kind of cell with weights of so many bits."""
    if precision == 8 and engine != "numba":
        from charrnn.generation.whole_numbers import GATES

        return engine == "numpy" and kind in GATES
    if engine == "numpy":
        return kind in numpy_layers.KERNELS
    if engine == "numba":
        from charrnn.generation import numba_terms

        return kind in numba_terms.KERNELS
    return True


class Engines:
    """The engines of one model or of an ensemble, each made when it is first asked for.

    Args:
        precision: bits of a weight: 32, or 8, which is computed in whole numbers.

    Raises:
        InputError: the model cannot be had in this precision.
    """

    def __init__(self, model: Trained, precision: int = 32) -> None:
        self._model, self.precision = model, precision
        self._lock = threading.RLock()
        self._compiled: Reader | None = None  # once it was asked for
        if precision == 8:
            if len(model.members) > 1:
                raise InputError(
                    "precision=8: writes with one model, not with an ensemble; leave the option out"
                )
            if (kind := self._without_kernel("numpy")) is not None:
                raise InputError(
                    f"precision=8: has no kernel for a model of kind {kind}; leave the option out"
                )

    @cached_property
    def _folded(self) -> list[Folded]:
        if self.precision == 8:
            from charrnn.generation.rounding import fold_rounded

            return [fold_rounded(member) for member in self._model.members]
        return [fold(member) for member in self._model.members]

    @cached_property
    def numpy(self) -> NumpyEngine | CombinedEngine:
        counts, functions = self._model.counts, FLOAT
        if self.precision == 8:
            from charrnn.generation.whole_numbers import WHOLE

            functions = WHOLE
        network = self._network
        if counts is None:
            return network
        return CountedEngine(network, counts, network.vocabulary, functions)

    @property
    def _network(self) -> NumpyEngine | CombinedEngine:
        if self.precision == 8:
            from charrnn.generation.whole_numbers import WholeEngine

            return WholeEngine(self._folded[0])
        engines = [NumpyEngine(folded) for folded in self._folded]
        if isinstance(self._model, TrainedEnsemble):
            return EnsembleEngine(engines, self._model.shares)
        return engines[0]

    @property
    def reader(self) -> Reader:
        """The one that reads: NumPy, or torch where NumPy has no kernel.

        In whole numbers it is the compiled one where that is at hand: each gives the same bits.
        """
        if self.precision == 8 and self._compiled is not None:
            return self._compiled
        if self._without_kernel("numpy") is None:
            return self.numpy
        return self._torch

    @cached_property
    def _torch(self) -> Reader:
        from charrnn.generation.torch_engine import TorchEngine

        return TorchEngine(self._model)

    def named(self, name: str) -> Engine:
        """The engine of a name: numpy, numba or torch.

        Raises:
            InputError: what it needs is not installed, or it has no kernel for the model's cell.
        """
        if name == "numba" and len(self._model.members) > 1:
            raise InputError(
                "engine=numba: writes with one model, not with an ensemble; leave the option out"
            )
        if name == "torch" and self.precision == 8:
            raise InputError(
                "precision=8: engine=torch computes in float32 only; use numpy or numba, or leave "
                "the option out"
            )
        kind = self._without_kernel(name)
        if kind is not None:
            others = " or ".join(o for o in ENGINES if self._without_kernel(o) is None)
            raise InputError(
                f"engine={name}: has no kernel for a model of kind {kind}; use {others}, or "
                f"leave the option out"
            )
        with self._lock:
            if name == "numpy":
                return self.numpy
            if name == "torch":
                return self._torch
            return self._numba

    def _without_kernel(self, name: str) -> str | None:
        """A kind of cell among the model's that an engine cannot step; None if there is none."""
        kinds = (member.architecture.kind for member in self._model.members)
        return next((kind for kind in kinds if not has_kernel(name, kind, self.precision)), None)

    @cached_property
    def _numba(self) -> Reader:
        from charrnn.generation.numba_engine import NumbaEngine

        try:
            self._compiled = NumbaEngine(
                self._folded[0], self.numpy, self._model.counts, whole=self.precision == 8
            )
            return self._compiled
        except ImportError as error:
            raise InputError(
                f"engine=numba: needs numba ({error}); {install('fast')}, or leave the option out"
            ) from None

    def fastest(self, streams: int, params: SamplingParams) -> Engine:
        """The engine for so many texts of `params.length` characters, start-up included."""
        weights = number_of_weights(self._model)
        name = fastest(weights, streams, params.length, self.precision)
        if name == "numba" and filters.not_compiled([params]):
            return self.reader
        try:
            return self.named(name)
        except InputError:  # no kernel, or a numba that is there and does not fit
            return self.reader


def number_of_weights(model: Trained) -> int:
    """How many weights a step multiplies with: the embedding is only looked up."""
    return sum(
        w.size
        for member in model.members
        for name, w in member.weights.items()
        if w.ndim == 2 and "embedding" not in name
    )


def fastest(weights: int, streams: int, length: int, precision: int = 32) -> str:
    """The name of the engine that is done first, of those that this machine has."""
    if precision == 8:
        compiled = streams * length >= COMPILED_IN_WHOLE_NUMBERS_FROM_CHARACTERS
        return "numba" if compiled and find_spec("numba") is not None else "numpy"
    multiplications = weights * streams * length
    if (
        multiplications >= GPU_FROM_MULTIPLICATIONS
        and weights * streams >= GPU_FROM_MULTIPLICATIONS_A_STEP
        and _has_gpu()
    ):
        return "torch"
    most = COMPILED_TO_WEIGHTS if streams < 4 else COMPILED_TO_WEIGHTS_OF_SEVERAL
    if (
        streams * length >= COMPILED_FROM_CHARACTERS
        and weights <= most
        and find_spec("numba") is not None
    ):
        return "numba"
    return "numpy"


def _has_gpu() -> bool:
    """Whether torch can use a CUDA GPU; it is asked only where the system has one at all."""
    if not (os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg")):
        return False
    import torch

    return torch.cuda.is_available()
