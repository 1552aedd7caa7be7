"""The weights of a network in int8, as the compiled loop reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, make_non_finite_error
from charrnn.extras.fast.int8_network import KERNELS, Network
from charrnn.extras.fast.int8_products import Matrices
from charrnn.extras.fast.vnni import compiles_vnni, fill_up, pack_for_vnni
from charrnn.generation.int8_rows import quantize_model, quantize_rows
from charrnn.generation.numpy_network import fold_weights
from charrnn.models.trained import TrainedModel

_LARGEST_WEIGHT = 1e30  # below it no sum of a network's numbers overflows


def make_int8_network(model: TrainedModel, vnni: bool | None = None) -> Network:
    """Return the network of a model, without its counts.

    Args:
        vnni: whether it multiplies with AVX-512 VNNI; by default if the processor has it.

    Raises:
        InputError: the compiled loop lacks the model's kind of cell.
        RunError: the weights are too large to compute with.
    """
    if (kind := model.architecture.kind) not in KERNELS:
        raise InputError(
            f"precision=8: has no kernel for a model of kind {kind}; leave the option out"
        )
    if any(not (np.abs(weight) < _LARGEST_WEIGHT).all() for weight in model.weights.values()):
        raise make_non_finite_error()
    folded = fold_weights(quantize_model(model), _multiply_quantized)
    L, H = model.architecture.num_layers, model.architecture.hidden_size
    GH = folded.table.shape[1]
    uses_vnni = compiles_vnni() if vnni is None else vnni
    # Compiled code needs every array, so parts that a model lacks get zeros or ones. The first
    # layer reads the table instead of inputs.
    return Network(
        kind=KERNELS[kind],
        table=folded.table,
        inputs=_quantize([np.zeros((GH, H), np.float32), *folded.inputs], uses_vnni),
        recurrent=_quantize(folded.recurrent, uses_vnni),
        decoder=_quantize([folded.decoder], uses_vnni),
        biases=np.stack([np.zeros(GH, np.float32), *folded.biases]),
        decoder_bias=folded.decoder_bias,
        hidden_bias=np.array(folded.hidden_bias or np.zeros((L, H)), np.float32),
        skip_sum=model.architecture.skip == "sum",
        output_scales=np.array(folded.scales or np.ones((L, H)), np.float32),
    )


def _multiply_quantized(left: Any, right: Any) -> npt.NDArray[np.float64]:
    """Return left @ right.T of two matrices with rounded rows, exact but for the last rounding."""
    a, b = quantize_rows(left.astype(np.float32)), quantize_rows(right.astype(np.float32))
    sums: Any = a.int8.astype(np.float64) @ b.int8.T.astype(np.float64)
    return sums * (a.scales[:, None].astype(np.float64) * b.scales)


def _quantize(matrices: list[npt.NDArray[np.float32]], vnni: bool) -> Matrices:
    """Return matrices (M, K) of several layers with rounded rows."""
    rows = [quantize_rows(matrix) for matrix in matrices]
    int8 = np.stack([each.int8 for each in rows])
    scales = np.zeros((len(rows), fill_up(int8.shape[1])), np.float32)
    scales[:, : int8.shape[1]] = [each.scales for each in rows]
    return Matrices(_align(pack_for_vnni(int8) if vnni else int8), scales)


def _align(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy that starts at a cache line."""
    room = np.empty(array.nbytes + 64, np.uint8)
    first = -room.ctypes.data % 64
    copy = room[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
