"""Checkpoints of torch-rnn with random weights, written as Torch7 does, and their logits."""

from __future__ import annotations

import struct
from math import prod
from typing import Any

import numpy as np

from charrnn.extras.torch_rnn.torch_rnn_model import Object, Table
from tests.generation.definition import EQUATIONS, Array

EMBEDDING, HIDDEN, NUMBERS = 3, 5, 600
# the order of the gates in torch-rnn, and the cell of the textbook
LAYERS = {"nn.LSTM": ("ifog", "lstm"), "nn.VanillaRNN": ("h", "rnn")}
TYPES = {"f4": "Float", "f8": "Double", "i8": "Long"}


def integers(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def longs(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def string(text: bytes) -> bytes:
    return integers(len(text)) + text


def to_torch7(value: Any, numbers: dict[int, int]) -> bytes:
    """Return a value in the binary format of Torch7: an array as a storage, its view as a tensor.

    `numbers` has the number of each table and object before this one, by its id().
    """
    if value is None:
        return integers(0)
    if isinstance(value, bool):
        return integers(5, value)
    if isinstance(value, int | float):
        return integers(1) + struct.pack("<d", value)
    if isinstance(value, bytes):
        return integers(2) + string(value)
    tag = 3 if isinstance(value, dict) else 4
    if id(value) in numbers:
        return integers(tag, numbers[id(value)])
    number = numbers[id(value)] = len(numbers) + 1
    if isinstance(value, dict):
        content = [to_torch7(x, numbers) for pair in value.items() for x in pair]
        return integers(tag, number, len(value)) + b"".join(content)
    if isinstance(value, Object):
        name, content = value.class_name, to_torch7(value.fields, numbers)
    elif value.base is None and value.ndim:
        name = f"torch.{TYPES[value.dtype.str[1:]]}Storage"
        content = longs(value.size) + value.tobytes()
    else:  # a buffer that torch-rnn has cleared has no dimension and no storage
        name = f"torch.{TYPES[value.dtype.str[1:]]}Tensor"
        start = value.ctypes.data - value.base.ctypes.data if value.ndim else 0
        strides = [stride // value.itemsize for stride in value.strides]
        content = integers(value.ndim) + longs(*value.shape, *strides, start // value.itemsize + 1)
        content += to_torch7(value.base, numbers)
    version = b"V 4" if name == "nn.LookupTable" else b"V 1"
    return integers(tag, number) + string(version) + string(name.encode()) + content


def make_checkpoint(
    layer: str, dtype: str, tokens: list[str], batchnorm: bool = False, dropout: float = 0
) -> Table:
    """Return the table that torch-rnn saves at step 3, of a network with two layers."""
    storage, used = np.random.default_rng(1).normal(size=NUMBERS).astype(dtype), 0

    def take(*shape: int) -> Array:
        nonlocal used
        used += prod(shape)
        return storage[used - prod(shape) : used].reshape(shape)

    V, D, H, gates = len(tokens), EMBEDDING, HIDDEN, len(LAYERS[layer][0])
    view = Object("nn.View", {b"size": np.array([1, -1], "i8"), b"output": np.zeros((), dtype)})
    modules = [Object("nn.LookupTable", {b"weight": take(V, D), b"gradInput": None})]
    for size in (D + H, H + H):
        modules.append(Object(layer, {b"weight": take(size, gates * H), b"bias": take(gates * H)}))
        if batchnorm:
            names = (b"weight", b"bias", b"running_mean", b"running_var")
            norm = {b"eps": 1e-5, **{name: take(H) for name in names}}
            norm[b"running_var"] **= 2
            modules += [view, Object("nn.BatchNormalization", norm), view]
        if dropout:
            modules.append(Object("nn.Dropout", {b"p": dropout, b"v2": True}))
    modules += [view, Object("nn.Linear", {b"weight": take(V, H), b"bias": take(V)})]
    net = Object("nn.Sequential", {b"modules": dict(enumerate(modules, 1))})
    idx_to_token = {i: token.encode() for i, token in enumerate(tokens, 1)}
    return {
        b"val_loss_history": {1: 3, 2: 2.5},
        b"model": Object("nn.LanguageModel", {b"net": net, b"idx_to_token": idx_to_token}),
        b"opt": {b"input_h5": b"tiny.h5", b"input_json": b"tiny.json"},
        b"i": 3,
    }


def compute_logits(checkpoint: Table, ids: Array) -> Array:
    """Return the logits (T, V) of a text (T) by the definitions of its modules, in float64."""
    x = ids
    for module in checkpoint[b"model"].fields[b"net"].fields[b"modules"].values():
        p = {key.decode(): value for key, value in module.fields.items()}
        if module.class_name == "nn.LookupTable":
            x = p["weight"][x].astype(float)
        elif module.class_name == "nn.BatchNormalization":
            normal = (x - p["running_mean"]) / np.sqrt(p["running_var"] + 1e-5)
            x = normal * p["weight"] + p["bias"]
        elif module.class_name == "nn.Linear":
            x = x @ p["weight"].T + p["bias"]
        elif module.class_name in LAYERS:
            gates, cell = LAYERS[module.class_name]
            order = sorted(range(len(gates)), key=lambda i: "ifgoh".index(gates[i]))
            h = c = np.zeros(HIDDEN)
            outputs = []
            for row in x:
                sums = (np.append(row, h) @ p["weight"] + p["bias"]).reshape(-1, HIDDEN)[order]
                h, c = EQUATIONS[cell](sums.ravel(), np.zeros(sums.size), h, c)
                outputs.append(h)
            x = np.array(outputs)
    return x
