"""The engines that the core asks this extra for: it steps one model with one of charrnn's cells."""

from __future__ import annotations

from charrnn.extras.fast import int8_network
from charrnn.generation.engines import Engine
from charrnn.generation.numpy_engine import NumpyCounts, NumpyEngine, Stepped
from charrnn.generation.weights import fold
from charrnn.models.trained import TrainedModel


def int8_engine(model: TrainedModel) -> NumpyEngine:
    """int8 by its definition, with NumPy.

    Raises:
        RunError: the weights are too large to compute with.
    """
    stepped: Stepped = int8_network.Int8Network(int8_network.fold_quantized(model))
    if model.counts is not None:
        stepped = NumpyCounts(stepped, model.counts, int8_network.log, walks=True)
    return NumpyEngine(stepped, model.vocabulary, int8_network.exp)


def compiled_engine(model: TrainedModel, precision: int, numpy: Engine) -> Engine:
    """The compiled loop.

    Args:
        precision: bits of a weight, 32 or 8.
        numpy: what writes where something is asked for that the loop has no kernel for.

    Raises:
        ImportError: numba is not there, or does not fit this NumPy.
    """
    from charrnn.extras.fast.numba_engine import NumbaEngine

    folded = int8_network.fold_quantized(model) if precision == 8 else fold(model)
    return NumbaEngine(folded, numpy, model.counts, int8=precision == 8)
