"""A model as ONNX: one step, (id, state) -> (logits, state), for any number of streams.

The graph is made of the folded weights (`charrnn.generation.weights`), of a gather, products and
what the cell does with their sums, so that any runtime has its operators.

    id      int64 (N,)       the character of each stream, from 0
    state   float32 (N, S)   zeros before the first character
    logits  float32 (N, V)   the scores of the next character
    next    float32 (N, S)   the state after it

S is layers x carried vectors x units. The metadata holds `vocabulary` (the characters, or of a
model of bytes the numbers of its bytes, in the order of their ids), `bytes`, `primer` (the ids of
a text to read first), `architecture` and `card`, each as JSON.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, needing
from charrnn.generation.weights import Folded, fold
from charrnn.models.trained import LAYERNORM_EPS, TrainedModel
from charrnn.text.primer import primer_of
from charrnn.text.vocabulary import Vocabulary

OPSET = 17  # of 2022, the first with layer normalization
IR_VERSION = 8  # of the same year


def onnx_step(model: TrainedModel, card: list[tuple[str, str]]) -> bytes:
    """The content of the .onnx file.

    Raises:
        InputError: the package onnx is missing, or the model's cell has no operators here.
    """
    with needing("output: .onnx needs onnx", "onnx"):
        import onnx
    architecture = model.architecture
    if architecture.kind not in OPERATORS:
        raise InputError(f"output: a model of kind {architecture.kind} cannot be written as ONNX")
    graph = _Graph()
    _build(graph, fold(model))
    size = architecture.num_layers * len(architecture.cell.carried) * architecture.hidden_size
    made = onnx.helper.make_graph(
        graph.nodes,
        "step",
        [
            onnx.helper.make_tensor_value_info("id", onnx.TensorProto.INT64, ["N"]),
            onnx.helper.make_tensor_value_info("state", onnx.TensorProto.FLOAT, ["N", size]),
        ],
        [
            onnx.helper.make_tensor_value_info(
                "logits", onnx.TensorProto.FLOAT, ["N", architecture.vocabulary_size]
            ),
            onnx.helper.make_tensor_value_info("next", onnx.TensorProto.FLOAT, ["N", size]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    whole = onnx.helper.make_model(
        made,
        producer_name="charrnn",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    metadata = {
        "vocabulary": _tokens(model.vocabulary),
        "bytes": model.vocabulary.is_bytes,
        "primer": list(primer_of(model.facts, model.vocabulary)),
        "architecture": architecture.plain(),
        "card": dict(card),
    }
    onnx.helper.set_model_props(whole, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(whole, full_check=True)
    content: bytes = whole.SerializeToString()
    return content


def _tokens(vocabulary: Vocabulary) -> list[str] | list[int]:
    if not vocabulary.is_bytes:
        return vocabulary.characters
    return [c.encode("ascii", "surrogateescape")[0] for c in vocabulary.characters]


class _Graph:
    """Nodes and constants while they are added; a value is the name of what it is."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def constant(self, array: npt.NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """The one output of a new node."""
        return self._node(kind, inputs, [output or f"value_{len(self.nodes)}"], attributes)[0]

    def split(self, value: str, parts: int) -> list[str]:
        """Equal parts of a value (N, parts * H), each (N, H)."""
        if parts == 1:
            return [value]
        outputs = [f"value_{len(self.nodes)}_{part}" for part in range(parts)]
        return self._node("Split", (value,), outputs, {"axis": 1})

    def product(self, value: str, weight: npt.NDArray[np.float32], bias: str) -> str:
        """A bias and the product with a weight (rows, columns)."""
        return self.add("Gemm", value, self.constant(weight), bias, transB=1)

    def _node(
        self, kind: str, inputs: tuple[str, ...], outputs: list[str], attributes: dict[str, Any]
    ) -> list[str]:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs


def _build(graph: _Graph, folded: Folded) -> None:
    """Add all nodes of a step."""
    architecture = folded.architecture
    carried, L = len(architecture.cell.carried), architecture.num_layers
    state = graph.split("state", L * carried)
    after: list[str] = []
    below, outputs = "", []
    for layer in range(L):
        if layer:
            bias = graph.constant(folded.biases[layer - 1])
            read = graph.product(below, folded.inputs[layer - 1], bias)
        else:
            read = graph.add("Gather", graph.constant(folded.table), "id")
        before = state[layer * carried : (layer + 1) * carried]
        now = OPERATORS[architecture.kind](graph, folded, layer, read, before)
        after += now
        output = now[0]
        if architecture.layernorm:
            ones = graph.constant(np.ones(architecture.hidden_size, np.float32))
            output = graph.add("LayerNormalization", output, ones, axis=-1, epsilon=LAYERNORM_EPS)
        if folded.scales:
            output = graph.add("Mul", output, graph.constant(folded.scales[layer]))
        if architecture.skip == "residual" and layer:
            output = graph.add("Add", output, below)
        outputs.append(output)
        below = output
    if architecture.skip == "sum":
        below = graph.add("Sum", *outputs)
    graph.add("Concat", *after, output="next", axis=1)
    decoder, bias = graph.constant(folded.decoder), graph.constant(folded.decoder_bias)
    graph.add("Gemm", below, decoder, bias, output="logits", transB=1)


# A cell's nodes: from what a layer reads (N, G*H) and what it carries to what it carries on.


def _lstm(graph: _Graph, folded: Folded, layer: int, read: str, before: list[str]) -> list[str]:
    h, c = before
    i, f, g, o = graph.split(graph.product(h, folded.recurrent[layer], read), 4)
    f = graph.add("Sigmoid", f)
    i = graph.add("Sigmoid", i)
    if folded.architecture.kind == "capped_lstm":
        one = graph.constant(np.ones(1, np.float32))
        i = graph.add("Min", i, graph.add("Sub", one, f))
    new = graph.add("Mul", i, graph.add("Tanh", g))
    c = graph.add("Add", graph.add("Mul", f, c), new)
    return [graph.add("Mul", graph.add("Sigmoid", o), graph.add("Tanh", c)), c]


def _gru(graph: _Graph, folded: Folded, layer: int, read: str, before: list[str]) -> list[str]:
    (h,) = before
    H = folded.architecture.hidden_size
    bias = np.concatenate([np.zeros(2 * H, np.float32), folded.own_biases[layer]])
    own = graph.split(graph.product(h, folded.recurrent[layer], graph.constant(bias)), 3)
    r, z, n = graph.split(read, 3)
    r = graph.add("Sigmoid", graph.add("Add", r, own[0]))
    z = graph.add("Sigmoid", graph.add("Add", z, own[1]))
    n = graph.add("Tanh", graph.add("Add", n, graph.add("Mul", r, own[2])))
    return [_between(graph, n, h, z)]


def _rnn(graph: _Graph, folded: Folded, layer: int, read: str, before: list[str]) -> list[str]:
    return [graph.add("Tanh", graph.product(before[0], folded.recurrent[layer], read))]


def _mingru(graph: _Graph, folded: Folded, layer: int, read: str, before: list[str]) -> list[str]:
    z, candidate = graph.split(read, 2)
    return [_between(graph, before[0], candidate, graph.add("Sigmoid", z))]


def _between(graph: _Graph, one: str, other: str, share: str) -> str:
    """one + share * (other - one)."""
    return graph.add("Add", one, graph.add("Mul", share, graph.add("Sub", other, one)))


OPERATORS = {"lstm": _lstm, "capped_lstm": _lstm, "gru": _gru, "rnn": _rnn, "mingru": _mingru}
