"""A checkpoint of torch-rnn (.t7) as a TrainedModel.

torch-rnn saves a table: its options and loss histories, and the network as a tree of nn modules,
LookupTable -> (LSTM or VanillaRNN [-> BatchNormalization] [-> Dropout]) per layer -> Linear, with
nn.View where shapes change. Turned here into what `charrnn.network` expects:

- a recurrent weight is (D + H, gates * H), inputs first; ours are two, each transposed,
- an LSTM's gates are in the order i, f, o, g; PyTorch's are i, f, g, o,
- there is one bias a layer; PyTorch's second is zero.
"""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.cells import CELLS
from charrnn.errors import InputError, one_line
from charrnn.models.torch7 import Object, Table, read, shown
from charrnn.models.trained import BATCHNORM_EPS, Architecture, TrainedModel
from charrnn.text.vocabulary import Vocabulary

# a letter each, so that their order can be told by an expression
LETTERS = {
    "nn.LookupTable": "E",
    "nn.LSTM": "R",
    "nn.VanillaRNN": "R",
    "nn.BatchNormalization": "B",
    "nn.Dropout": "D",
    "nn.View": "",
    "nn.Linear": "L",
}
NETWORK = re.compile(r"E(RB?D?)\1*L")
# what we call its layers, and the order of their gates
LAYERS = {"nn.LSTM": ("lstm", "ifog"), "nn.VanillaRNN": ("rnn", "h")}
CHAR_RNN = (
    "a checkpoint of char-rnn, not of torch-rnn; its network is an nngraph program, "
    "which charrnn does not run: train it anew with `charrnn train`"
)

Weights = dict[str, npt.NDArray[np.float32]]


def read_model(path: Path) -> TrainedModel:
    """Read a .t7 checkpoint of torch-rnn, binary or ascii; nothing in it is run.

    Returns:
        The model; its facts are `source` and, where the file has them, `step`, `train_loss`,
        `val_loss`, `input_h5` and `input_json`.

    Raises:
        InputError: names the file, and what it is if it is not a checkpoint of torch-rnn.
    """
    try:
        root = read(path, {"nn.LanguageModel", "nn.Sequential", *LETTERS})
        model = root.get(b"model")
        if not isinstance(model, Object) or model.class_name != "nn.LanguageModel":
            keys = ", ".join(shown(key) for key in itertools.islice(root, 8)) or "nothing"
            raise ValueError(f"a Torch7 file, but not a checkpoint of torch-rnn (it holds {keys})")
        vocabulary = _vocabulary(model.fields)
        architecture, weights = _network(_modules(model), len(vocabulary))
        return TrainedModel(architecture, vocabulary, weights, _facts(root))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, InputError) as error:
        is_char_rnn = str(error).startswith("protos")
        raise InputError(f"{path}: {CHAR_RNN if is_char_rnn else one_line(error)}") from None


def _modules(model: Object) -> dict[str, list[Object]]:
    """The modules of the network by their letters, each in their order."""
    net = model.fields.get(b"net")
    modules = _sequence(net.fields.get(b"modules")) if isinstance(net, Object) else []
    names = [m.class_name if isinstance(m, Object) else "?" for m in modules]
    letters = "".join(LETTERS.get(name, "?") for name in names)
    if not NETWORK.fullmatch(letters) or len({*names} & LAYERS.keys()) > 1:
        raise ValueError(f"model.net: not a network of torch-rnn ({', '.join(names[:20])})")
    return {x: [m for m in modules if LETTERS[m.class_name] == x] for x in "ERBDL"}


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
    kind, gates = LAYERS[layers[0].class_name]
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
    if any(module.fields.get(b"v2") is False for module in modules["D"]):
        raise ValueError("nn.Dropout: of a form older than torch-rnn, which scales otherwise")
    dropout, *others = {module.fields.get(b"p") for module in modules["D"]} or {0.0}
    if others or not isinstance(dropout, float):
        raise ValueError("nn.Dropout: its layers do not drop one share")
    architecture = Architecture(
        kind=kind,
        embedding_size=weights["embedding.weight"].shape[1],
        hidden_size=weights["decoder.weight"].shape[1],
        num_layers=len(layers),
        dropout=dropout,
        batchnorm=bool(modules["B"]),
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
    train, val = (
        (_sequence(root.get(name)) or [None])[-1]
        for name in (b"train_loss_history", b"val_loss_history")
    )
    facts: dict[str, Any] = {"step": root.get(b"i"), "train_loss": train, "val_loss": val}
    facts = {n: v for n, v in facts.items() if isinstance(v, float) and math.isfinite(v)}
    if "step" in facts:
        facts["step"] = int(facts["step"])
    options = root.get(b"opt")
    for name in ("input_h5", "input_json"):
        text = options.get(name.encode()) if isinstance(options, dict) else None
        if isinstance(text, bytes):
            facts[name] = text.decode("utf-8", "replace")
    return {"source": "torch-rnn", **facts}
