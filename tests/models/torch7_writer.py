"""A writer of Torch7 files, for tests: what Torch and torch-rnn save, and what they do not.

`dumps` writes Python values in Torch7's format, binary or ascii; `checkpoint` builds what
torch-rnn saves, out of random weights in torch-rnn's own layout. Nothing here is shared
with the reader under test.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

EPS = 1e-5  # of torch-rnn's batch normalization
NIL, NUMBER, STRING, TABLE, OBJECT, BOOLEAN = range(6)


@dataclass(eq=False)
class Torch:
    """An object of a class."""

    class_name: str
    fields: Any
    version: int = 1


@dataclass(eq=False)
class Function:
    bytecode: bytes
    tag: int


@dataclass(eq=False)
class Storage:
    numbers: npt.NDArray[Any]
    size: int | None = None  # a size that is not the true one


@dataclass(eq=False)
class Tensor:
    """A view of a storage; `offset` counts from 0, in the file from 1."""

    storage: Storage | None
    sizes: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    offset: int = 0
    kind: str = "Float"


KINDS = {"f4": "Float", "f8": "Double", "i8": "Long", "i4": "Int", "u1": "Byte"}


def kind_of(numbers: npt.NDArray[Any]) -> str:
    return KINDS[numbers.dtype.str[1:]]


def tensor(numbers: npt.NDArray[Any]) -> Tensor:
    """A tensor with a storage of its own."""
    strides = tuple(s // numbers.itemsize for s in numbers.strides)
    return Tensor(Storage(numbers.ravel()), numbers.shape, strides, 0, kind_of(numbers))


def empty(kind: str = "Float") -> Tensor:
    return Tensor(None, kind=kind)


def table(*values: Any) -> dict[Any, Any]:
    return dict(enumerate(values, start=1))


class _Writer:
    def __init__(self, ascii: bool) -> None:
        self.ascii = ascii
        self.out: list[bytes] = []
        self.numbers_of: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no id is used twice

    def line(self, text: str, binary: bytes) -> None:
        self.out.append(text.encode() + b"\n" if self.ascii else binary)

    def int(self, value: int) -> None:
        self.line(str(value), struct.pack("<i", value))

    def longs(self, values: Any) -> None:
        if values or not self.ascii:
            self.line(" ".join(map(str, values)), struct.pack(f"<{len(values)}q", *values))

    def string(self, content: bytes) -> None:
        self.int(len(content))
        self.out.append(content + b"\n" if self.ascii and content else content)

    def value(self, value: Any) -> None:
        if value is None:
            self.int(NIL)
        elif isinstance(value, bool):
            self.int(BOOLEAN)
            self.int(int(value))
        elif isinstance(value, (int, float)):
            self.int(NUMBER)
            self.line(f"{value:.17g}", struct.pack("<d", value))
        elif isinstance(value, (str, bytes)):
            self.int(STRING)
            self.string(value.encode() if isinstance(value, str) else value)
        else:
            self.numbered(value)

    def numbered(self, value: Any) -> None:
        tag = OBJECT
        if isinstance(value, (dict, Function)):
            tag = TABLE if isinstance(value, dict) else value.tag
        self.int(tag)
        known = id(value) in self.numbers_of
        self.int(self.numbers_of.setdefault(id(value), len(self.numbers_of) + 1))
        if known:
            return
        self.kept.append(value)
        if isinstance(value, dict):
            self.int(len(value))
            for key, item in value.items():
                self.value(key)
                self.value(item)
        elif isinstance(value, Function):
            self.string(value.bytecode)
        elif isinstance(value, Torch):
            self.header(value.class_name, value.version)
            self.value(value.fields)
        elif isinstance(value, Storage):
            self.header(f"torch.{kind_of(value.numbers)}Storage", 1)
            self.longs([len(value.numbers) if value.size is None else value.size])
            form = ".9g" if value.numbers.dtype == np.float32 else ".17g"
            if value.numbers.dtype.kind != "f":
                form = "d"
            if len(value.numbers):
                text = " ".join(format(n, form) for n in value.numbers.tolist())
                self.line(text, value.numbers.tobytes())
        else:
            self.header(f"torch.{value.kind}Tensor", 1)
            self.int(len(value.sizes))
            self.longs(value.sizes)
            self.longs(value.strides)
            self.longs([value.offset + 1])
            self.value(value.storage)

    def header(self, class_name: str, version: int) -> None:
        self.string(f"V {version}".encode())
        self.string(class_name.encode())


def dumps(value: Any, *, ascii: bool = False) -> bytes:
    """A Torch7 file of `value`."""
    writer = _Writer(ascii)
    writer.value(value)
    return b"".join(writer.out)


@dataclass
class Reference:
    """Weights in torch-rnn's layout, and torch-rnn's forward pass over them (LSTM.lua,
    VanillaRNN.lua, BatchNormalization.lua), in float64."""

    kind: str
    embedding: npt.NDArray[Any]  # (V, D)
    recurrent: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]  # (D + H, G), (G,)
    norms: list[dict[str, npt.NDArray[Any]]]
    decoder: tuple[npt.NDArray[Any], npt.NDArray[Any]]  # (V, H), (V,)

    def logits(self, ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """ids (T,) from 0 -> logits (T, V), from the zero state."""
        x = self.embedding[ids].astype(np.float64)
        for i, (weight, bias) in enumerate(self.recurrent):
            x = np.stack(list(self._steps(x, weight.astype(np.float64), bias)))
            if self.norms:
                norm = self.norms[i]
                x = (x - norm["running_mean"]) / np.sqrt(norm["running_var"] + EPS)
                x = x * norm["weight"] + norm["bias"]
        return x @ self.decoder[0].T + self.decoder[1]

    def _steps(self, x: Any, weight: Any, bias: Any) -> Any:
        H = len(weight) - x.shape[1]
        h = c = np.zeros(H)
        for x_t in x:
            a = np.concatenate([x_t, h]) @ weight + bias
            if self.kind == "rnn":
                h = np.tanh(a)
            else:
                i, f, o = (0.5 + 0.5 * np.tanh(a[k * H : (k + 1) * H] / 2) for k in range(3))
                c = f * c + i * np.tanh(a[3 * H :])
                h = o * np.tanh(c)
            yield h


def checkpoint(
    tokens: list[str],
    *,
    kind: str = "lstm",
    sizes: tuple[int, int] = (3, 5),
    num_layers: int = 2,
    batchnorm: bool = False,
    dropout: float = 0.0,
    dtype: str = "f4",
    one_storage: bool = True,
    seed: int = 0,
) -> tuple[dict[str, Any], Reference]:
    """What torch-rnn saves, and the reference that it must equal.

    Args:
        sizes: D and H.
        one_storage: all parameters are views of one storage, as after getParameters().
    """
    rng = np.random.default_rng(seed)
    (D, H), V = sizes, len(tokens)
    gates = 4 if kind == "lstm" else 1

    def draw(*shape: int) -> npt.NDArray[Any]:
        return rng.normal(size=shape).astype(dtype)

    inputs = [D] + [H] * (num_layers - 1)
    reference = Reference(
        kind=kind,
        embedding=draw(V, D),
        recurrent=[(draw(n + H, gates * H), draw(gates * H)) for n in inputs],
        norms=[
            {
                "weight": draw(H),
                "bias": draw(H),
                "running_mean": draw(H),
                "running_var": np.abs(draw(H)) + np.dtype(dtype).type(0.1),
            }
            for _ in range(num_layers if batchnorm else 0)
        ],
        decoder=(draw(V, H), draw(V)),
    )

    parameters: list[Tensor] = []

    def parameter(numbers: npt.NDArray[Any]) -> Tensor:
        made = tensor(numbers)
        parameters.append(made)
        return made

    tensor_type = f"torch.{KINDS[dtype]}Tensor"

    def module(class_name: str, version: int = 1, **fields: Any) -> Torch:
        kind = KINDS[dtype]
        common = {"_type": tensor_type, "output": empty(kind), "gradInput": empty(kind)}
        return Torch(class_name, {**common, **fields, "train": True}, version)

    def view(dims: int) -> Torch:
        longs = Storage(np.array([1, -1], np.int64))
        return module("nn.View", numInputDims=dims, size=longs, numElements=-1)

    modules = [module("nn.LookupTable", 4, weight=parameter(reference.embedding))]
    for i, (weight, bias) in enumerate(reference.recurrent):
        layer = module(
            "nn.LSTM" if kind == "lstm" else "nn.VanillaRNN",
            weight=parameter(weight),
            bias=parameter(bias),
            gradWeight=tensor(np.zeros_like(weight)),
        )
        modules.append(layer)
        if batchnorm:
            norm = {name: tensor(n) for name, n in reference.norms[i].items()}
            norm["weight"] = parameter(reference.norms[i]["weight"])
            norm["bias"] = parameter(reference.norms[i]["bias"])
            made = module("nn.BatchNormalization", 2, eps=EPS, momentum=0.1, **norm)
            modules += [view(3), made, view(2)]
        if dropout:
            modules.append(module("nn.Dropout", p=dropout, v2=True, noise=empty()))
    linear = {"weight": parameter(reference.decoder[0]), "bias": parameter(reference.decoder[1])}
    modules += [view(3), module("nn.Linear", **linear), view(2)]
    if one_storage:
        share_storage(parameters)

    model = module(
        "nn.LanguageModel",
        net=module("nn.Sequential", modules=table(*modules)),
        idx_to_token=table(*tokens),
    )
    saved = {
        "val_loss_history": table(2.5),
        "val_loss_history_it": table(3),
        "model": model,
        "train_loss_history": table(3.0, 2.75, 2.625),
        "opt": {"input_h5": "tiny.h5", "input_json": "tiny.json", "gpu": -1, "init_from": ""},
        "i": 3,
    }
    return saved, reference


def share_storage(tensors: list[Tensor]) -> None:
    """Make tensors views of one storage, one after the other."""
    storage = Storage(np.concatenate([t.storage.numbers for t in tensors if t.storage]))
    offset = 0
    for t in tensors:
        assert t.storage is not None
        t.offset, offset = offset, offset + len(t.storage.numbers)
        t.storage = storage


def modules_of(saved: dict[str, Any], class_name: str) -> list[Torch]:
    """The modules of a class in a checkpoint, to be changed in place."""
    modules = saved["model"].fields["net"].fields["modules"].values()
    return [module for module in modules if module.class_name == class_name]
