"""A checkpoint of torch-rnn as a TrainedModel.

torch-rnn saves a table: its options and loss histories, and the network as a tree of
nn modules, LookupTable -> (LSTM or VanillaRNN [-> BatchNormalization] [-> Dropout]) per
layer -> Linear, with nn.View where shapes change. What it calls by other names or stores
otherwise is turned here into what `charrnn.network` expects:

- a recurrent weight is (D + H, gates * H), inputs first; ours are two, each transposed,
- an LSTM's gates are in the order i, f, o, g; PyTorch's are i, f, g, o,
- there is one bias a layer; PyTorch's second is zero,
- old batch normalization has running_std, 1 / sqrt(variance + eps), for running_var, and
  an eps other than PyTorch's goes into the variance.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.cells import CELLS
from charrnn.errors import InputError
from charrnn.models.torch7.serialization import DAMAGED, Object, Refused, Table, Tensor, read, shown
from charrnn.models.trained import BATCHNORM_EPS, Architecture, TrainedModel
from charrnn.text.vocabulary import FIRST_FILE_ID, Vocabulary

LANGUAGE_MODEL = "nn.LanguageModel"
SEQUENTIAL = "nn.Sequential"
# a letter each, so that their order can be told by an expression
MODULES = {
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
WEIGHTS = (b"weight", b"bias", b"running_mean", b"running_var", b"running_std")
CHAR_RNN = (
    "a checkpoint of char-rnn, not of torch-rnn; its network is an nngraph program, "
    "which charrnn does not run: train it anew with `charrnn train`"
)

Array = npt.NDArray[np.float32]


def read_model(path: Path) -> TrainedModel:
    """Read a .t7 checkpoint of torch-rnn, binary or ascii.

    Nothing in the file is run, and Torch is not needed.

    Returns:
        The model; its facts are `source` and, where the file has them, `step`,
        `train_loss`, `val_loss`, `input_h5` and `input_json`.

    Raises:
        InputError: names the file, and what it is if it is not a checkpoint of torch-rnn.
    """
    try:
        return _trained_model(read(path, {LANGUAGE_MODEL, SEQUENTIAL, *MODULES}))
    except InputError as error:
        in_protos = isinstance(error, Refused) and error.path[:1] == (b"protos",)
        raise InputError(f"{path}: {CHAR_RNN if in_protos else error}") from None


def _trained_model(root: Table) -> TrainedModel:
    if b"protos" in root:
        raise InputError(CHAR_RNN)
    model = root.get(b"model")
    if not isinstance(model, Object) or model.class_name != LANGUAGE_MODEL:
        keys = ", ".join(shown(key) for key in itertools.islice(root, 8)) or "nothing"
        raise InputError(f"a Torch7 file, but not a checkpoint of torch-rnn (it holds {keys})")
    modules = _modules(model)
    vocabulary = _vocabulary(model.fields)
    architecture, weights = _network(modules, len(vocabulary))
    return TrainedModel(architecture, vocabulary, weights, _facts(root))


def _modules(model: Object) -> list[Object]:
    """The modules of the network, in order, without the views."""
    net = model.fields.get(b"net")
    if not isinstance(net, Object) or net.class_name != SEQUENTIAL:
        raise InputError("model.net: not a network of torch-rnn")
    modules = _sequence(net.fields.get(b"modules"), "model.net.modules")
    if not all(isinstance(m, Object) and m.class_name in MODULES for m in modules):
        raise InputError("model.net.modules: not a network of torch-rnn")
    letters = "".join(MODULES[m.class_name] for m in modules)
    if not NETWORK.fullmatch(letters) or len({m.class_name for m in modules} & LAYERS.keys()) > 1:
        names = ", ".join(m.class_name for m in modules[:20])
        raise InputError(f"model.net.modules: not a network of torch-rnn ({names})")
    return [m for m in modules if MODULES[m.class_name]]


def _sequence(table: Any, name: str) -> list[Any]:
    """The values of a table whose keys are 1, 2, 3, ..."""
    if not isinstance(table, dict):
        raise InputError(f"{name}: missing")
    if not all(key in table for key in range(1, len(table) + 1)):
        raise InputError(f"{name}: its keys are not 1 to {len(table)}; {DAMAGED}")
    return [table[key] for key in range(1, len(table) + 1)]


def _vocabulary(fields: Table) -> Vocabulary:
    name = "model.idx_to_token"
    tokens = _sequence(fields.get(b"idx_to_token"), name)
    decoded = []
    for i, token in enumerate(tokens, start=FIRST_FILE_ID):
        if not isinstance(token, bytes):
            raise InputError(f"{name}.{i}: not a string")
        try:
            decoded.append(token.decode("utf-8"))
        except UnicodeDecodeError:
            raise InputError(f"{name}.{i}: {shown(token)} is not UTF-8") from None
    try:
        return Vocabulary.from_tokens(decoded)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _network(modules: list[Object], vocabulary_size: int) -> tuple[Architecture, dict[str, Array]]:
    _check_apart(modules)
    by_letter: dict[str, list[Object]] = {letter: [] for letter in "ERBDL"}
    for module in modules:
        by_letter[MODULES[module.class_name]].append(module)
    (embedding,), (decoder,), layers = by_letter["E"], by_letter["L"], by_letter["R"]
    kind, gates = LAYERS[layers[0].class_name]

    weights = {
        "embedding.weight": _weight(embedding, b"weight", 2),
        "decoder.weight": _weight(decoder, b"weight", 2),
        "decoder.bias": _weight(decoder, b"bias", 1),
    }
    for i, layer in enumerate(layers):
        for name, weight in _recurrent(layer, [gates.index(g) for g in CELLS[kind].gates]).items():
            weights[f"recurrent.{i}.{name}_l0"] = weight
    for i, norm in enumerate(by_letter["B"]):
        for name, weight in _norm(norm).items():
            weights[f"norms.{i}.{name}"] = weight
    architecture = Architecture(
        kind=kind,
        embedding_size=weights["embedding.weight"].shape[1],
        hidden_size=weights["decoder.weight"].shape[1],
        num_layers=len(layers),
        dropout=_dropout(by_letter["D"]),
        batchnorm=bool(by_letter["B"]),
        vocabulary_size=vocabulary_size,
    )
    return architecture, weights


def _recurrent(layer: Object, order: list[int]) -> dict[str, Array]:
    """Its weights by our names, the gates put in this order."""
    weight = _weight(layer, b"weight", 2)  # (D + H, gates * H)
    bias = _weight(layer, b"bias", 1)  # (gates * H,)
    gates = len(order)
    H = bias.size // gates
    if weight.shape[1] != bias.size or H * gates != bias.size or weight.shape[0] <= H:
        raise InputError(
            f"{layer.class_name}: a weight {weight.shape} and a bias {bias.shape} that are "
            "not of a layer of torch-rnn"
        )
    D = len(weight) - H
    ordered = weight.reshape(D + H, gates, H)[:, order].reshape(D + H, gates * H)
    return {
        "weight_ih": np.ascontiguousarray(ordered[:D].T),
        "weight_hh": np.ascontiguousarray(ordered[D:].T),
        "bias_ih": bias.reshape(gates, H)[order].reshape(-1),
        "bias_hh": np.zeros_like(bias),
    }


def _norm(norm: Object) -> dict[str, Array]:
    eps = _number(norm, b"eps")
    is_old = b"running_std" in norm.fields
    spread = _weight(norm, b"running_std" if is_old else b"running_var", 1)
    weight, bias, mean = (_weight(norm, n, 1) for n in (b"weight", b"bias", b"running_mean"))
    if spread.shape != weight.shape:
        raise InputError(f"nn.BatchNormalization: a tensor of a wrong size; {DAMAGED}")
    with np.errstate(all="ignore"):
        exact = spread.astype(np.float64)
        under_root = exact**-2 if is_old else exact + eps
        # where even a variance of 0 is too much beside the network's eps, the weight makes it up
        weight *= np.sqrt(BATCHNORM_EPS / np.minimum(under_root, BATCHNORM_EPS)).astype(np.float32)
        variance = np.maximum(under_root - BATCHNORM_EPS, 0).astype(np.float32)
    return {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}


def _dropout(modules: list[Object]) -> float:
    if any(module.fields.get(b"v2") is False for module in modules):
        raise InputError("nn.Dropout: of a form older than torch-rnn, which scales otherwise")
    shares = {_number(module, b"p") for module in modules}
    if len(shares) > 1:
        raise InputError("nn.Dropout: its layers drop different shares")
    return shares.pop() if shares else 0.0


def _weight(module: Object, name: bytes, dimensions: int) -> Array:
    tensor = module.fields.get(name)
    where = f"{module.class_name}.{name.decode()}"
    if not isinstance(tensor, Tensor):
        raise InputError(f"{where}: missing")
    try:
        numbers = tensor.array()
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if numbers.ndim != dimensions or numbers.dtype.kind != "f":
        raise InputError(f"{where}: not {dimensions}-dimensional, or not of floats")
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float32, order="C")


def _number(module: Object, name: bytes) -> float:
    value = module.fields.get(name)
    if not isinstance(value, float):
        raise InputError(f"{module.class_name}.{name.decode()}: missing")
    return value


def _check_apart(modules: list[Object]) -> None:
    """Refuse weights that overlap, as a wrong offset in a damaged file makes them.

    torch-rnn lays all parameters one after the other in one storage.
    """
    by_storage: dict[int, list[tuple[int, int]]] = {}
    for module, name in itertools.product(modules, WEIGHTS):
        tensor = module.fields.get(name)
        if isinstance(tensor, Tensor) and tensor.storage is not None:
            by_storage.setdefault(id(tensor.storage), []).append((tensor.offset, tensor.end))
    for spans in by_storage.values():
        spans.sort()
        if any(end > start for (_, end), (start, _) in itertools.pairwise(spans)):
            raise InputError(f"its weights overlap; {DAMAGED}")


def _facts(root: Table) -> dict[str, Any]:
    """What the file tells about its training, as plain values."""
    facts: dict[str, Any] = {"source": "torch-rnn"}
    steps = root.get(b"val_loss_history_it")
    found = {
        "step": root.get(b"i", _last(steps)),  # older versions did not write i
        "train_loss": _last(root.get(b"train_loss_history")),
        "val_loss": _last(root.get(b"val_loss_history")),
    }
    for name, value in found.items():
        if isinstance(value, float) and math.isfinite(value):
            facts[name] = int(value) if name == "step" else value
    options = root.get(b"opt")
    for name in ("input_h5", "input_json"):
        file = options.get(name.encode()) if isinstance(options, dict) else None
        if isinstance(file, bytes):
            facts[name] = file.decode("utf-8", "replace")
    return facts


def _last(table: Any) -> Any:
    return table.get(len(table)) if isinstance(table, dict) else None


def read_history(path: Path) -> list[tuple[int, float | None, float | None]]:
    """Read torch-rnn's checkpoint_N.json.

    It holds the loss of every step of its run, up to the step of the checkpoint: a run
    that went on from another's step count (``-reset_iterations 0``) starts above 1.

    Returns:
        A row (step, training loss, validation loss) for each step that has one of them,
        in order; None for the other. Losses are in nats per character.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    try:
        content = json.loads(path.read_bytes())
        train = _numbers(content["train_loss_history"])
        val = _numbers(content["val_loss_history"])
        val_steps = [int(step) for step in _numbers(content["val_loss_history_it"])]
        if len(val) != len(val_steps):
            raise ValueError("val_loss_history and val_loss_history_it differ in length")
        # older versions did not write i
        last = content.get("i", val_steps[-1] if val_steps else len(train))
        (last,) = _numbers([last])
        first = int(last) - len(train) + 1
        if first < 1:
            raise ValueError("train_loss_history is longer than the run")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: not the JSON that torch-rnn writes beside a checkpoint ({what})"
        ) from None
    by_step = dict(enumerate(train, start=first))
    by_val_step = dict(zip(val_steps, val, strict=True))
    steps = sorted(by_step.keys() | by_val_step.keys())
    return [(step, by_step.get(step), by_val_step.get(step)) for step in steps]


def _numbers(values: Any) -> list[float]:
    if values == {}:  # how Lua's JSON writes an empty list
        return []
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        raise ValueError("a history is not a list of numbers")
    return [float(v) for v in values]
