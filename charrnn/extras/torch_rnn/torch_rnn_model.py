"""A checkpoint of torch-rnn (.t7), binary or ascii, as a TrainedModel.

torch-rnn saves a table: its options and loss histories, and the network as a tree of nn modules,
LookupTable -> (LSTM or VanillaRNN [-> BatchNormalization] [-> Dropout]) per layer -> Linear, with
nn.View where shapes change. Turned here into what `charrnn.networks.network` expects:

- a recurrent weight is (D + H, gates * H), inputs first; ours are two, each transposed,
- an LSTM's gates are in the order i, f, o, g; PyTorch's are i, f, g, o,
- there is one bias a layer; PyTorch's second is zero.

The file is a tree of values, each with a type tag before it. Tables and objects are numbered, and a
number that was seen before refers back to that object. Torch itself loads functions as bytecode
and lets a class read its own content: here a function is refused, and only tensors and torch-rnn's
classes are read, each as the table of its fields. So nothing in a file can run. The format is that
of File.lua, generic/Storage.c and generic/Tensor.c of torch/torch7.
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

from charrnn.errors import InputError, one_line
from charrnn.models.trained import BATCHNORM_EPS, Architecture, TrainedModel
from charrnn.options.cells import CELLS
from charrnn.text.vocabulary import Vocabulary

# a letter each, so that an expression describes their order
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
# the kind of each recurrent layer, and the order of its gates
_LAYERS = {"nn.LSTM": ("lstm", "ifog"), "nn.VanillaRNN": ("rnn", "h")}

Weights = dict[str, npt.NDArray[np.float32]]
Array = npt.NDArray[Any]
# Lua's strings are bytes; keys that are whole numbers are ints, to count with
Table: TypeAlias = "dict[bytes | int | float, Any]"

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = range(6)
# a torch object or a table, in binary and in ascii
_BEGINNINGS = (b"\x04\0\0\0", b"\x03\0\0\0", b"4\n", b"3\n")
_FUNCTIONS = (6, 7, 8)  # three forms, of different ages
_DTYPES = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8",
           "Float": "<f4", "Double": "<f8"}  # fmt: skip
_NUMBERS_CLASS = re.compile(rf"torch\.({'|'.join(_DTYPES)})(Tensor|Storage)")
_BINARY_START = bytes([_TABLE, 0, 0, 0])
_ASCII_START = re.compile(rb"%d\r?\n" % _TABLE)
_LINE = re.compile(rb"\s*(\S[^\n]*)\n?")


@dataclass
class Object:
    """An object of a class that saves the table of its fields."""

    class_name: str
    fields: Table = field(default_factory=dict)


def reads(start: bytes, path: Path) -> bool:
    """Whether a file that begins so is one of Torch's, or is called as one."""
    return start.startswith(_BEGINNINGS) or path.suffix == ".t7"


def read_model(path: Path) -> TrainedModel:
    """Read a .t7 checkpoint of torch-rnn, binary or ascii; nothing in it is run.

    Returns:
        The model; its facts are `source` and, where the file has them, `step`, `val_loss`,
        `input_h5` and `input_json`.

    Raises:
        InputError: names the file, and what it is if it is not a checkpoint of torch-rnn.
    """
    try:
        root = _read_table(path)
        model = root.get(b"model")
        if not isinstance(model, Object) or model.class_name != "nn.LanguageModel":
            keys = ", ".join(_escaped(key) for key in itertools.islice(root, 8)) or "nothing"
            raise ValueError(f"a Torch7 file, but not a checkpoint of torch-rnn (it holds {keys})")
        vocabulary = _vocabulary(model.fields)
        architecture, weights = _network(_modules(model), len(vocabulary))
        return TrainedModel(architecture, vocabulary, weights, _facts(root))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, InputError) as error:
        raise InputError(f"{path}: {one_line(error)}") from None


def _modules(model: Object) -> dict[str, list[Object]]:
    """The modules of the network by their letters, each in their order."""
    net = model.fields.get(b"net")
    modules = _sequence(net.fields.get(b"modules")) if isinstance(net, Object) else []
    names = [m.class_name if isinstance(m, Object) else "?" for m in modules]
    letters = "".join(_LETTERS.get(name, "?") for name in names)
    if not _NETWORK.fullmatch(letters) or len({*names} & _LAYERS.keys()) > 1:
        raise ValueError(f"model.net: not a network of torch-rnn ({', '.join(names[:20])})")
    return {x: [m for m in modules if _LETTERS[m.class_name] == x] for x in "ERBDL"}


def _sequence(table: Any) -> list[Any]:
    """The values of a table under the keys 1, 2, 3, ..."""
    return [table.get(i) for i in range(1, len(table) + 1)] if isinstance(table, dict) else []


def _vocabulary(fields: Table) -> Vocabulary:
    tokens = _sequence(fields.get(b"idx_to_token"))
    if not all(isinstance(token, bytes) for token in tokens):
        raise ValueError("model.idx_to_token: a token is missing, or no string")
    return Vocabulary.from_tokens([token.decode("utf-8") for token in tokens])


def _network(
    modules: dict[str, list[Object]], vocabulary_size: int
) -> tuple[Architecture, Weights]:
    (embedding,), (decoder,), layers = modules["E"], modules["L"], modules["R"]
    kind, gates = _LAYERS[layers[0].class_name]
    weights = {
        "embedding.weight": _weight(embedding, "weight", 2),
        "decoder.weight": _weight(decoder, "weight", 2),
        "decoder.bias": _weight(decoder, "bias", 1),
    }
    for i, layer in enumerate(layers):
        for name, weight in _recurrent(layer, [gates.index(g) for g in CELLS[kind].gates]).items():
            weights[f"recurrent.{i}.{name}_l0"] = weight
    for i, norm in enumerate(modules["B"]):
        for name, weight in _norm(norm).items():
            weights[f"norms.{i}.{name}"] = weight
    dropout = [module.fields.get(b"p") for module in modules["D"]] or [0.0]
    if not isinstance(dropout[0], float):
        raise ValueError("nn.Dropout: has no share p")
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


def _recurrent(layer: Object, order: list[int]) -> Weights:
    """Its weights by our names, the gates put in this order."""
    weight, bias = _weight(layer, "weight", 2), _weight(layer, "bias", 1)
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


def _norm(norm: Object) -> Weights:
    if norm.fields.get(b"eps") != BATCHNORM_EPS:
        raise ValueError(f"nn.BatchNormalization: its eps is not {BATCHNORM_EPS}, torch-rnn's")
    names = ("weight", "bias", "running_mean", "running_var")
    return {name: _weight(norm, name, 1) for name in names}


def _weight(module: Object, name: str, dimensions: int) -> npt.NDArray[np.float32]:
    numbers: Any = module.fields.get(name.encode())
    is_tensor = isinstance(numbers, np.ndarray) and numbers.dtype.kind == "f"
    if not is_tensor or numbers.ndim != dimensions:
        raise ValueError(f"{module.class_name}.{name}: no tensor of floats in {dimensions}-D")
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float32, order="C")


def _facts(root: Table) -> dict[str, Any]:
    """What the file tells about its training, as plain values."""
    losses = _sequence(root.get(b"val_loss_history")) or [None]
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


def _damaged(what: str) -> ValueError:
    """An error for bytes that are not what the format says."""
    return ValueError(f"{what}; the file is damaged, copy it again")


def _read_table(path: Path) -> Table:
    """The table that a Torch7 file holds.

    Its values are None, bool, float, bytes (a Lua string), Table, Object, and arrays: a tensor's
    numbers, a storage's (n,). A tensor that is empty, or does not fit its storage, is None.

    Raises:
        ValueError: why the file is not read.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    is_binary = data.startswith(_BINARY_START)
    if not is_binary and not _ASCII_START.match(data):
        raise ValueError("not a checkpoint of torch-rnn, nor any table of Torch7's")
    reader = _Reader(_Binary(data) if is_binary else _Ascii(data))
    try:
        table: Table = reader.value()
    except RecursionError:
        raise _damaged("it is nested without end") from None
    if data[reader.source.position :].strip():
        raise _damaged("it goes on after its end")
    return table


def _escaped(name: bytes | float) -> str:
    """A key or a class name out of a file, fit for a line of text."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return text.encode("unicode_escape").decode("ascii")[:40]


class _Binary:
    """The numbers and texts of a file that a 64-bit little-endian machine wrote."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def text(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.position:  # before memory is taken
            raise _damaged("it ends too early")
        self.position += size
        return self.data[self.position - size : self.position]

    def numbers(self, dtype: str, count: int) -> Array:
        return np.frombuffer(self.text(count * np.dtype(dtype).itemsize), dtype)


class _Ascii(_Binary):
    """Those of an ascii file: a row of numbers is a line, and what is empty has none."""

    def text(self, size: int) -> bytes:
        text = super().text(size)
        self.position += size > 0 and self.data[self.position : self.position + 1] == b"\n"
        return text

    def numbers(self, dtype: str, count: int) -> Array:
        if np.dtype(dtype).itemsize == 1:  # characters
            return np.frombuffer(self.text(count), dtype)
        line = _LINE.match(self.data, self.position) if count else None
        if line is not None:
            self.position = line.end()
        try:
            numbers = np.array(line[1].split() if line is not None else [], dtype)
        except (ValueError, OverflowError):
            raise _damaged("a number is expected and is not there") from None
        if len(numbers) != count:
            raise _damaged(f"{len(numbers)} numbers instead of {count}")
        return numbers


class _Reader:
    """Values out of a source."""

    def __init__(self, source: _Binary) -> None:
        self.source = source
        self.objects: dict[int, Any] = {}

    def value(self) -> Any:
        tag = self._int()
        if tag == _NIL:
            return None
        if tag == _NUMBER:
            return float(self.source.numbers("<f8", 1)[0])
        if tag == _STRING:
            return self.source.text(self._int())
        if tag == _BOOLEAN:
            return self._int() == 1
        if tag in _FUNCTIONS:
            raise ValueError("a Lua function, which could run code; torch-rnn saves none")
        if tag not in (_TABLE, _OBJECT):
            raise _damaged(f"there is no type {tag}")
        index = self._int()
        if index not in self.objects:
            (self._read_table if tag == _TABLE else self._read_object)(index)
        return self.objects[index]

    def _int(self) -> int:
        return int(self.source.numbers("<i4", 1)[0])

    def _longs(self, count: int) -> list[int]:
        longs: list[int] = self.source.numbers("<i8", count).tolist()
        return longs

    def _read_table(self, index: int) -> None:
        table = self.objects[index] = {}  # before its content, which may refer to it
        for _ in range(self._int()):
            key = self.value()
            if isinstance(key, float) and key.is_integer():
                key = int(key)
            if not isinstance(key, bytes | int | float):
                raise _damaged("a key is neither a number nor a string")
            table[key] = self.value()

    def _read_object(self, index: int) -> None:
        version = self.source.text(self._int())
        if not re.fullmatch(rb"V \d+", version):
            raise _damaged("an object has no version")
        name = self.source.text(self._int())
        class_name = name.decode("latin-1")
        if class_name in _CLASSES:
            made = self.objects[index] = Object(class_name)
            made.fields = self.value()
            if not isinstance(made.fields, dict):
                raise _damaged(f"an {class_name} without fields")
            return
        numbers = _NUMBERS_CLASS.fullmatch(class_name)
        if numbers is None:
            raise ValueError(
                f"it holds an object of {_escaped(name)}, which is no class of torch-rnn's; "
                f"train a model of char-rnn anew with `charrnn train`"
            )
        if numbers[2] == "Storage":
            (size,) = self._longs(1)
            self.objects[index] = self.source.numbers(_DTYPES[numbers[1]], size)
            return
        dimensions = self._int()
        sizes, strides, (first,) = (self._longs(count) for count in (dimensions, dimensions, 1))
        self.objects[index] = _view(self.value(), sizes, strides, first - 1)


def _view(storage: Any, sizes: Sequence[int], strides: Sequence[int], offset: int) -> Array | None:
    """The numbers of a tensor, not copied.

    None if it is empty, reaches beyond its storage, or is not laid out in rows as Torch saves it.
    """
    size = math.prod(sizes)
    rows = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    if not isinstance(storage, np.ndarray) or not sizes or min(sizes) < 1 or strides != rows:
        return None
    numbers = storage[offset : offset + size] if offset >= 0 else storage[:0]
    return numbers.reshape(sizes) if numbers.size == size else None
