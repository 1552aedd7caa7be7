"""Read a binary checkpoint of torch-rnn (.t7) as a TrainedModel.

torch-rnn saves a table of options and loss histories, and the network as a tree of nn modules:
LookupTable -> (LSTM or VanillaRNN [-> BatchNormalization] [-> Dropout]) per layer -> Linear, with
nn.View where shapes change. The weights are converted for `charrnn.networks.network`:

- torch-rnn has one recurrent weight (D + H, gates * H), inputs first; PyTorch has two, transposed.
- torch-rnn's gates of an LSTM are in the order i, f, o, g; PyTorch's are i, f, g, o.
- torch-rnn has one bias per layer; PyTorch's second bias is set to zero.

The file is a tree of values with type tags. Tables and objects have numbers, and a repeated number
refers to the same object. Torch loads functions as bytecode, and lets a class read its content.
This reader rejects functions, and reads only tensors and torch-rnn's classes, as tables of their
fields, so nothing in a file can run. The format is defined in File.lua, generic/Storage.c and
generic/Tensor.c of torch/torch7.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, to_one_line
from charrnn.models.trained import BATCHNORM_EPS, Architecture, TrainedModel
from charrnn.options.cells import CELLS
from charrnn.text.vocabulary import Vocabulary

# One letter per class, so that a regular expression can check the order of the modules.
_LETTERS = {
    "nn.LookupTable": "E",
    "nn.LSTM": "R",
    "nn.VanillaRNN": "R",
    "nn.BatchNormalization": "B",
    "nn.Dropout": "D",
    "nn.View": "",
    "nn.Linear": "L",
}
_NETWORK = re.compile(r"E(RB?D?)\1*L")
_CLASSES = {"nn.LanguageModel", "nn.Sequential", *_LETTERS}
# The kind of each recurrent layer, and the order of its gates.
_LAYERS = {"nn.LSTM": ("lstm", "ifog"), "nn.VanillaRNN": ("rnn", "h")}

Weights = dict[str, npt.NDArray[np.float32]]
Array = npt.NDArray[Any]
# Lua's strings are bytes. Keys that are whole numbers are converted to int.
Table: TypeAlias = "dict[bytes | int | float, Any]"

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = range(6)
# The first bytes of a table.
_START = bytes([_TABLE, 0, 0, 0])
_DTYPES = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8",
           "Float": "<f4", "Double": "<f8"}  # fmt: skip
_NUMBERS_CLASS = re.compile(rf"torch\.({'|'.join(_DTYPES)})(Tensor|Storage)")


@dataclass
class Object:
    """An object of a class that saves the table of its fields."""

    class_name: str
    fields: Table = field(default_factory=dict)


def read_model(path: Path) -> TrainedModel:
    """Read a .t7 checkpoint of torch-rnn. Raise InputError if it is none.

    The model's facts are `source` and, if the file has them, `step`, `val_loss`, `input_h5` and
    `input_json`.
    """
    try:
        root = _read_table(path)
        model = root.get(b"model")
        if not isinstance(model, Object) or model.class_name != "nn.LanguageModel":
            keys = ", ".join(map(repr, itertools.islice(root, 8))) or "nothing"
            raise ValueError(f"is a Torch7 file, but not a checkpoint of torch-rnn (it has {keys})")
        vocabulary = _read_vocabulary(model.fields)
        architecture, weights = _convert_network(_list_modules(model), len(vocabulary))
        return TrainedModel(architecture, vocabulary, weights, _collect_facts(root))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, InputError) as error:
        raise InputError(f"{path}: {to_one_line(error)}") from None


def _list_modules(model: Object) -> dict[str, list[Object]]:
    """Return the modules of the network in their order, by the letters of their classes."""
    net = model.fields.get(b"net")
    modules = _to_list(net.fields.get(b"modules")) if isinstance(net, Object) else []
    names = [m.class_name if isinstance(m, Object) else "?" for m in modules]
    letters = "".join(_LETTERS.get(name, "?") for name in names)
    if not _NETWORK.fullmatch(letters) or len({*names} & _LAYERS.keys()) > 1:
        raise ValueError(f"model.net: is not a network of torch-rnn ({', '.join(names[:20])})")
    return {x: [m for m in modules if _LETTERS[m.class_name] == x] for x in "ERBDL"}


def _to_list(table: Any) -> list[Any]:
    """Return the values of a table at the keys 1, 2, 3, ..."""
    return [table.get(i) for i in range(1, len(table) + 1)] if isinstance(table, dict) else []


def _read_vocabulary(fields: Table) -> Vocabulary:
    tokens = _to_list(fields.get(b"idx_to_token"))
    if not all(isinstance(token, bytes) for token in tokens):
        raise ValueError("model.idx_to_token: a token is missing or is not a string")
    return Vocabulary.from_tokens([token.decode("utf-8") for token in tokens])


def _convert_network(
    modules: dict[str, list[Object]], vocabulary_size: int
) -> tuple[Architecture, Weights]:
    (embedding,), (decoder,), layers = modules["E"], modules["L"], modules["R"]
    kind, gates = _LAYERS[layers[0].class_name]
    weights = {
        "embedding.weight": _get_weight(embedding, "weight", 2),
        "decoder.weight": _get_weight(decoder, "weight", 2),
        "decoder.bias": _get_weight(decoder, "bias", 1),
    }
    order = [gates.index(gate) for gate in CELLS[kind].gates]
    for i, layer in enumerate(layers):
        for name, weight in _convert_recurrent(layer, order).items():
            weights[f"recurrent.{i}.{name}_l0"] = weight
    for i, norm in enumerate(modules["B"]):
        for name, weight in _convert_norm(norm).items():
            weights[f"norms.{i}.{name}"] = weight
    dropout = [module.fields.get(b"p") for module in modules["D"]] or [0.0]
    if not isinstance(dropout[0], float):
        raise ValueError("nn.Dropout: has no probability p")
    architecture = Architecture(
        kind=kind,
        embedding_size=weights["embedding.weight"].shape[1],
        hidden_size=weights["decoder.weight"].shape[1],
        num_layers=len(layers),
        dropout=dropout[0],
        batchnorm=bool(modules["B"]),
        skip="none",
        vocabulary_size=vocabulary_size,
    )
    return architecture, weights


def _convert_recurrent(layer: Object, order: list[int]) -> Weights:
    """Return the weights of a layer with PyTorch's names, and its gates in this order."""
    weight, bias = _get_weight(layer, "weight", 2), _get_weight(layer, "bias", 1)
    gates = len(order)
    H = bias.size // gates
    D = len(weight) - H
    if weight.shape[1] != bias.size or H * gates != bias.size or D < 1:
        raise ValueError(f"{layer.class_name}: weight {weight.shape} does not fit {bias.shape}")
    ordered = weight.reshape(D + H, gates, H)[:, order].reshape(D + H, gates * H)
    return {
        "weight_ih": np.ascontiguousarray(ordered[:D].T),
        "weight_hh": np.ascontiguousarray(ordered[D:].T),
        "bias_ih": bias.reshape(gates, H)[order].reshape(-1),
        "bias_hh": np.zeros_like(bias),
    }


def _convert_norm(norm: Object) -> Weights:
    if norm.fields.get(b"eps") != BATCHNORM_EPS:
        raise ValueError(f"nn.BatchNormalization: eps is not {BATCHNORM_EPS}, as in torch-rnn")
    names = ("weight", "bias", "running_mean", "running_var")
    return {name: _get_weight(norm, name, 1) for name in names}


def _get_weight(module: Object, name: str, dimensions: int) -> npt.NDArray[np.float32]:
    numbers: Any = module.fields.get(name.encode())
    is_tensor = isinstance(numbers, np.ndarray) and numbers.dtype.kind == "f"
    if not is_tensor or numbers.ndim != dimensions:
        raise ValueError(f"{module.class_name}.{name}: is not a {dimensions}-D tensor of floats")
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float32, order="C")


def _collect_facts(root: Table) -> dict[str, Any]:
    """Return the facts about the training in the file."""
    losses = _to_list(root.get(b"val_loss_history")) or [None]
    facts: dict[str, Any] = {"step": root.get(b"i"), "val_loss": losses[-1]}
    facts = {n: v for n, v in facts.items() if isinstance(v, float) and math.isfinite(v)}
    if "step" in facts:
        facts["step"] = int(facts["step"])
    options = root.get(b"opt")
    for name in ("input_h5", "input_json"):
        text = options.get(name.encode()) if isinstance(options, dict) else None
        if isinstance(text, bytes):
            facts[name] = text.decode("utf-8", "replace")
    return {"source": "torch-rnn", **facts}


def _make_damage_error(reason: str) -> ValueError:
    """Return an error for bytes that violate the format."""
    return ValueError(f"{reason}; the file is damaged, copy it again")


def _read_table(path: Path) -> Table:
    """Return the table in a Torch7 file.

    Its values are None, bool, float, bytes (a Lua string), Table, Object, and arrays for tensors
    and storages (n,). A tensor that is empty or does not fit its storage becomes None.
    """
    data = path.read_bytes()
    if not data.startswith(_START):
        raise ValueError(
            "is not a checkpoint of torch-rnn in the binary format of Torch7; save it in that again"
        )
    reader = _Reader(data)
    try:
        table: Table = reader.read_value()
    except RecursionError:
        raise _make_damage_error("the tables are nested too deeply") from None
    if reader.position < len(data):
        raise _make_damage_error("there is data after the end")
    return table


class _Reader:
    """A reader of values from a 64-bit little-endian machine.

    It keeps tables and objects by their numbers.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.objects: dict[int, Any] = {}

    def read_value(self) -> Any:
        tag = self._read_int()
        if tag == _NIL:
            return None
        if tag == _NUMBER:
            return float(self._read_numbers("<f8", 1)[0])
        if tag == _STRING:
            return self._read_bytes(self._read_int())
        if tag == _BOOLEAN:
            return self._read_int() == 1
        if tag not in (_TABLE, _OBJECT):  # 6 to 8 are functions, which could run code
            raise _make_damage_error(f"{tag} is no type that torch-rnn saves")
        index = self._read_int()
        if index not in self.objects:
            (self._read_table if tag == _TABLE else self._read_object)(index)
        return self.objects[index]

    def _read_bytes(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.position:  # before memory is allocated
            raise _make_damage_error("the data ends too early")
        self.position += size
        return self.data[self.position - size : self.position]

    def _read_numbers(self, dtype: str, count: int) -> Array:
        return np.frombuffer(self._read_bytes(count * np.dtype(dtype).itemsize), dtype)

    def _read_int(self) -> int:
        return int(self._read_numbers("<i4", 1)[0])

    def _read_longs(self, count: int) -> list[int]:
        longs: list[int] = self._read_numbers("<i8", count).tolist()
        return longs

    def _read_table(self, index: int) -> None:
        table = self.objects[index] = {}  # stored first, because its content may refer to it
        for _ in range(self._read_int()):
            key = self.read_value()
            if isinstance(key, float) and key.is_integer():
                key = int(key)
            if not isinstance(key, bytes | int | float):
                raise _make_damage_error("a key is neither a number nor a string")
            table[key] = self.read_value()

    def _read_object(self, index: int) -> None:
        version = self._read_bytes(self._read_int())
        if not re.fullmatch(rb"V \d+", version):
            raise _make_damage_error("an object has no version")
        class_name = self._read_bytes(self._read_int()).decode("latin-1")
        if class_name in _CLASSES:
            instance = self.objects[index] = Object(class_name)
            instance.fields = self.read_value()
            if not isinstance(instance.fields, dict):
                raise _make_damage_error(f"an {class_name} without fields")
            return
        numbers = _NUMBERS_CLASS.fullmatch(class_name)
        if numbers is None:
            raise ValueError(
                f"contains an object of {class_name!r}, which is no class of torch-rnn; "
                f"for a model of char-rnn, train a new one with `charrnn train`"
            )
        if numbers[2] == "Storage":
            (size,) = self._read_longs(1)
            self.objects[index] = self._read_numbers(_DTYPES[numbers[1]], size)
            return
        dimensions = self._read_int()
        sizes, strides, (first,) = map(self._read_longs, (dimensions, dimensions, 1))
        self.objects[index] = _make_view(self.read_value(), sizes, strides, first - 1)


def _make_view(
    storage: Any, sizes: Sequence[int], strides: Sequence[int], offset: int
) -> Array | None:
    """Return a tensor as a view of its storage.

    Return None if the tensor is empty, exceeds its storage, or is not contiguous.
    """
    size = math.prod(sizes)
    rows = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    if not isinstance(storage, np.ndarray) or not sizes or min(sizes) < 1 or strides != rows:
        return None
    numbers = storage[offset : offset + size] if offset >= 0 else storage[:0]
    return numbers.reshape(sizes) if numbers.size == size else None
