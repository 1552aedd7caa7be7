"""A network in NumPy: its weights, folded into few products a character, and its step.

The embedding's product with the first layer's input weights depends on the character only, so it
becomes a table with one row for each character, which includes the biases of that layer. In
evaluation a batch normalization is an affine map. It is folded into the weights that read its
output: those of the next layer or of the decoder. With ``skip=sum`` each layer's output has a scale
instead, and the decoder's bias includes the shifts. All folded weights are computed in float64 and
rounded once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.models.trained import BATCHNORM_EPS, Architecture, State, TrainedModel, select_streams

Array = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

# logits (N, V), state = step(ids (N,), state). A step does not change its arguments. If the third
# argument is False, it may return None instead of the logits.
Step = Callable[..., tuple[Any, State]]


@dataclass(frozen=True)
class FoldedWeights:
    """The folded weights of a network, float32. The G gates are stacked in the cell's order."""

    architecture: Architecture
    table: Array  # (V, G*H), the input sums of the first layer for each character
    inputs: list[Array]  # (G*H, H) for each layer but the first
    recurrent: list[Array]  # (G*H, H) for each layer
    biases: list[Array]  # (G*H,) for each layer but the first
    # (H,) for each layer of a cell with a gate of `separate_sums`: its second bias, which stays
    # with its recurrent sum, as PyTorch's b_hn of a gru does. Empty for other cells.
    hidden_bias: list[Array]
    # (H,) for each layer: the factor of its output in the sum of all outputs. Empty without skip
    # connections.
    scales: list[Array]
    decoder: Array  # (V, H)
    decoder_bias: Array  # (V,)


@np.errstate(all="ignore")
def fold_weights(model: TrainedModel) -> FoldedWeights:
    """Return the folded weights of a trained model.

    Weights that are too large become infinite without a warning. The draw then refuses the logits.
    """
    architecture = model.architecture
    H, cell = architecture.hidden_size, architecture.cell

    def weight(name: str) -> Float64s:
        return model.weights[name].astype(np.float64, order="C")

    inputs, recurrent, biases, hidden_bias, scales = [], [], [], [], []
    # The next layer reads slope * output + shift.
    slope, shift = np.ones(architecture.embedding_size), np.zeros(architecture.embedding_size)
    total_shift = np.zeros(H)  # of the sum of all outputs
    for layer in range(architecture.num_layers):
        prefix = f"recurrent.{layer}."
        input_weight = weight(prefix + "weight_ih_l0")
        bias = weight(prefix + "bias_ih_l0") + input_weight @ shift
        second_bias = weight(prefix + "bias_hh_l0")
        for gate in cell.separate_sums:
            rows = cell.rows(gate, H)
            hidden_bias.append(second_bias[rows].astype(np.float32))
            second_bias[rows] = 0
        recurrent.append(np.ascontiguousarray(model.weights[prefix + "weight_hh_l0"], np.float32))
        inputs.append(input_weight * slope)
        biases.append(bias + second_bias)
        slope, shift = np.ones(H), np.zeros(H)
        norm = f"norms.{layer}."
        if architecture.batchnorm:
            slope = weight(norm + "weight") / np.sqrt(weight(norm + "running_var") + BATCHNORM_EPS)
            shift = weight(norm + "bias") - weight(norm + "running_mean") * slope
        if architecture.skip != "none":
            scales.append(slope.astype(np.float32))
            slope, total_shift = np.ones(H), total_shift + shift
            if layer == architecture.num_layers - 1:
                shift = total_shift

    decoder = weight("decoder.weight")
    decoder_bias = weight("decoder.bias") + decoder @ shift
    return FoldedWeights(
        architecture=architecture,
        table=(weight("embedding.weight") @ inputs[0].T + biases[0]).astype(np.float32),
        inputs=[w.astype(np.float32) for w in inputs[1:]],
        recurrent=recurrent,
        biases=[b.astype(np.float32) for b in biases[1:]],
        hidden_bias=hidden_bias,
        scales=scales,
        decoder=(decoder * slope).astype(np.float32),
        decoder_bias=decoder_bias.astype(np.float32),
    )


# Recurrent cells with at most one gate of `separate_sums`. Each function takes a buffer for the
# recurrent sums (G, N, H), with the gates in order, and the second bias (H,) of that gate, or None.
# It returns the cell's step, which takes the input sums (G, N, H) and the layer's state (N, H),
# reads the recurrent sums in the buffer, and returns the next state.
# sigmoid(x) = (1 + tanh(x / 2)) / 2. The weights include the inner half, so that one tanh computes
# several gates.

Cell = Callable[..., tuple[Array, ...]]
_ONE, _HALF = np.array(1, np.float32), np.array(0.5, np.float32)  # faster than Python's numbers


def _make_lstm(sums: Array, hidden_bias: Array | None) -> Cell:
    sigmoids = sums[:3]
    o, i, f, g = sums

    def step(read: Array, h: Array, c: Array) -> tuple[Array, ...]:
        np.add(sums, read, sums)
        np.tanh(sums, sums)
        np.add(sigmoids, _ONE, sigmoids)
        np.multiply(sigmoids, _HALF, sigmoids)
        np.multiply(i, g, i)
        c = f * c
        c += i
        h = np.tanh(c)
        h *= o
        return h, c

    return step


def _make_gru(sums: Array, hidden_bias: Array | None) -> Cell:
    """Return a GRU's step. It reads the recurrent sums in `sums`, and overwrites them."""
    assert hidden_bias is not None
    sigmoids = sums[:2]
    r, z, n = sums

    def step(read: Array, h: Array) -> tuple[Array, ...]:
        np.add(sigmoids, read[:2], sigmoids)
        np.tanh(sigmoids, sigmoids)
        np.add(sigmoids, _ONE, sigmoids)
        np.multiply(sigmoids, _HALF, sigmoids)
        np.add(n, hidden_bias, n)
        np.multiply(n, r, n)
        np.add(n, read[2], n)
        np.tanh(n, n)
        h = h - n
        h *= z
        h += n
        return (h,)

    return step


def _make_rnn(sums: Array, hidden_bias: Array | None) -> Cell:
    def step(read: Array, h: Array) -> tuple[Array, ...]:
        np.add(sums, read, sums)
        return (np.tanh(sums[0]),)

    return step


# The functions above, and the order of their gates
CELLS: dict[str, tuple[Callable[[Array, Array | None], Cell], str]] = {
    "lstm": (_make_lstm, "oifg"),
    "gru": (_make_gru, "rzn"),
    "rnn": (_make_rnn, "h"),
}


class _LayerWeights(NamedTuple):
    """The weights of a layer, with the gates in the step's order."""

    recurrent: Array  # (K, G, H)
    hidden_bias: Array | None  # (H,), of a gate of `separate_sums`
    inputs: Array | None  # (K, G, H); None in the first layer
    bias: Array | None  # (G, H), of the inputs


def _make_layer(kind: str, weights: _LayerWeights, streams: tuple[int, ...]) -> Cell:
    """Return the step of a layer for streams of this shape: (N,), or () for a single one.

    The step has working memory, so every thread makes another step. It takes the output (N, K) of
    the layer below, and the layer's state. Instead of an output the first layer takes its input
    sums (G, N, H). For a single stream, all arrays lack N.
    """
    _, G, H = weights.recurrent.shape
    sums = np.empty((G, *streams, H), np.float32)
    read = np.empty_like(sums)
    make_cell, _ = CELLS[kind]
    cell = make_cell(sums, weights.hidden_bias)
    # A single stream has one product for all gates, (K,) by (K, G*H). Several streams have one for
    # each gate, (N, K) by (G, K, H), because OpenBLAS has a fast path for products of this size:
    # 4 streams of 2 x 256 are four times as fast.
    sums_out, read_out = (b if streams else b.reshape(-1) for b in (sums, read))  # no copies

    def to_factor(matrix: Array) -> Array:
        return matrix.swapaxes(0, 1) if streams else matrix.reshape(len(matrix), -1)

    recurrent = to_factor(weights.recurrent)
    if weights.inputs is None or weights.bias is None:

        def step_first(input_sums: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
            np.matmul(state[0], recurrent, sums_out)
            return cell(input_sums, *state)

        return step_first

    inputs, bias = to_factor(weights.inputs), weights.bias[:, None] if streams else weights.bias

    def step(below: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        np.matmul(below, inputs, read_out)
        np.add(read, bias, read)
        np.matmul(state[0], recurrent, sums_out)
        return cell(read, *state)

    return step


class _ThreadLayers(threading.local):
    """The layers' steps of a thread, for the number of streams of its last call."""

    streams: tuple[int, ...] | None = None
    layers: list[Cell]


def make_network_step(folded: FoldedWeights) -> Step:
    """Return the step of a network with folded weights."""
    architecture = folded.architecture
    H, L, cell = architecture.hidden_size, architecture.num_layers, architecture.cell
    kind, gates = architecture.kind, CELLS[architecture.kind][1]
    rows = np.concatenate([np.r_[cell.rows(gate, H)] for gate in gates])
    # sigmoid(x) = (1 + tanh(x / 2)) / 2: the weights include the inner half
    halves = np.repeat([_HALF if gate in cell.sigmoids else _ONE for gate in gates], H)

    def in_order(weights: Array) -> Array:
        """Return weights (..., G*H) as (..., G, H), with the gates in the step's order."""
        ordered = np.ascontiguousarray(weights[..., rows] * halves)
        return ordered.reshape(*ordered.shape[:-1], len(gates), H)

    with np.errstate(all="ignore"):  # Weights may be infinite, as in `fold_weights`.
        # With skip connections, the weights that read a layer's output are scaled for it.
        slopes = folded.scales or [_ONE] * L
        table = in_order(folded.table)
        weights = [
            _LayerWeights(
                in_order(folded.recurrent[k].T),
                folded.hidden_bias[k] if folded.hidden_bias else None,
                in_order((folded.inputs[k - 1] * slopes[k - 1]).T) if k else None,
                in_order(folded.biases[k - 1]) if k else None,
            )
            for k in range(L)
        ]
        # With skip connections the decoder reads the outputs of all layers side by side.
        decoder = np.concatenate([(folded.decoder * slope).T for slope in folded.scales or [_ONE]])
    has_skips, decoder_bias = bool(folded.scales), folded.decoder_bias
    local = _ThreadLayers()  # Layers have working memory, so threads cannot share them.

    def step(ids: Ids, state: State, needs_logits: bool = True) -> tuple[Array | None, State]:
        if is_single := len(ids) == 1:  # NumPy is faster without the first axis.
            ids, state = ids[0], select_streams(state, 0)
        streams = ids.shape
        if local.streams != streams:
            local.streams = streams
            local.layers = [_make_layer(kind, layer, streams) for layer in weights]
        after: State = []
        below = table[ids].swapaxes(0, -2)  # (N, G, H) to (G, N, H); (G, H) stays
        for step_layer, before in zip(local.layers, state, strict=True):
            after.append(step_layer(below, before))
            below = after[-1][0]
        logits = None
        if needs_logits:
            outputs = np.concatenate([layer[0] for layer in after], -1) if has_skips else below
            logits = outputs @ decoder
            logits += decoder_bias
        if is_single:
            after = select_streams(after, np.newaxis)
            logits = None if logits is None else logits[np.newaxis]
        return logits, after

    return step
