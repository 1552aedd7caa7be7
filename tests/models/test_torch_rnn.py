"""torch-rnn's files: Torch's own scores, every age and form, and what is damaged or would harm."""

from __future__ import annotations

import json
import random
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charrnn
from charrnn.errors import InputError
from charrnn.models.torch_rnn import read_model
from charrnn.models.trained import TrainedModel
from charrnn.network import Network, network_of, num_parameters
from tests.models import torch7_writer as t7

TOKENS = list("First Czen:\nBfowpcdayuh,mk")
BOTH = pytest.mark.parametrize("ascii", [False, True], ids=["binary", "ascii"])
CLOSE = {"rtol": 0, "atol": 2e-5}


def written(folder: Path, value: Any, **options: Any) -> Path:
    path = folder / "checkpoint_3.t7"
    path.write_bytes(t7.dumps(value, **options))
    return path


def evaluated(model: TrainedModel) -> Network:
    return network_of(model).eval()


@torch.no_grad()
def logits(model: TrainedModel, ids: Any) -> np.ndarray:
    scores, _ = evaluated(model)(torch.as_tensor(ids).unsqueeze(0))
    return scores[0].numpy()


# -- against Torch ---------------------------------------------------------------------


def t7_of(shared: Path, name: str) -> Path:
    path = shared / "torch7" / f"{name}.t7"
    if not path.is_file():
        pytest.skip(f"../shared/torch7/{path.name} is missing")
    return path


@pytest.mark.parametrize("name", ["lstm", "lstm.ascii", "lstm_bn", "rnn"])
def test_torchs_own_scores(name: str, shared: Path) -> None:
    path = t7_of(shared, name)
    expected = json.loads(path.with_suffix(".ref.json").read_text())
    model = read_model(path)
    network = evaluated(model)
    ids = torch.tensor([expected["input_ids_1based"]]) - 1
    assert model.vocabulary.encode(expected["input_text"]).tolist() == ids[0].tolist()
    with torch.no_grad():
        first, state = network(ids)
        second, _ = network(ids, state)
        rows, _ = network(torch.tensor(expected["batch_ids_1based"]) - 1)
    for scores, key in (
        (first[0], "scores"),
        (second[0], "scores_second_pass_state_carried"),
        (rows[0], "batch_scores_row1"),
        (rows[1], "batch_scores_row2"),
    ):
        np.testing.assert_allclose(scores, expected[key], rtol=0, atol=1e-5)

    architecture = model.architecture
    assert architecture.kind == expected["model_type"]
    assert architecture.dropout == expected["dropout"]
    assert architecture.batchnorm == bool(expected["batchnorm"])
    assert num_parameters(network) == expected["num_parameters"]
    assert model.facts["step"] == expected["i"]
    assert model.facts["val_loss"] == expected["val_loss_history"][-1]
    assert model.facts["train_loss"] == expected["train_loss_last"]

    # through charrnn.load and the engine that samples
    loaded, start = charrnn.load(path), expected["start_text"]
    scores = loaded.logits(expected["input_text"])
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=1e-5)
    text = loaded.generate(expected["length"] - len(start), start, temperature=0)
    assert start + text == expected["argmax_sample"]
    first_character = model.vocabulary.decode([0])  # with which torch-rnn begins without a start
    text = loaded.generate(expected["length"] - 1, first_character, temperature=0)
    assert first_character + text == expected["argmax_sample_no_start_text"]


# -- forms -----------------------------------------------------------------------------

FORMS: list[dict[str, Any]] = [
    {},
    {"kind": "rnn", "num_layers": 1},
    {"num_layers": 3, "sizes": (7, 4), "dtype": "f8"},
    {"batchnorm": True, "dropout": 0.5, "num_layers": 3},
    {"batchnorm": True, "kind": "rnn"},
    {"dropout": 0.25, "one_storage": False},
]


@BOTH
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form(form: dict[str, Any], ascii: bool, tmp_path: Path) -> None:
    """One computed as torch-rnn's source says, in torch-rnn's layout, equals the network."""
    saved, reference = t7.checkpoint(TOKENS, **form)
    model = read_model(written(tmp_path, saved, ascii=ascii))
    ids = np.random.default_rng(1).integers(0, len(TOKENS), 30)
    np.testing.assert_allclose(logits(model, ids), reference.logits(ids), **CLOSE)
    assert model.architecture.dropout == form.get("dropout", 0)
    assert model.facts == {
        "source": "torch-rnn",
        "step": 3,
        "train_loss": 2.625,
        "val_loss": 2.5,
        "input_h5": "tiny.h5",
        "input_json": "tiny.json",
    }


@BOTH
def test_vocabularies(ascii: bool, tmp_path: Path) -> None:
    tokens = [*"Zür ichß東京😀\n\0'\"", "\u2028", "\u0301"]
    saved, reference = t7.checkpoint(tokens, one_storage=False)
    model = read_model(written(tmp_path, saved, ascii=ascii))
    assert model.vocabulary.characters == tokens
    ids = model.vocabulary.encode("Zürich 東京😀")
    np.testing.assert_allclose(logits(model, ids), reference.logits(ids), **CLOSE)
    saved, _ = t7.checkpoint(["a", "[", "[200]", "[255]", "]"])
    vocabulary = read_model(written(tmp_path, saved, ascii=ascii)).vocabulary
    assert vocabulary.is_bytes
    assert vocabulary.decode(range(5)).encode("ascii", "surrogateescape") == b"a[\xc8\xff]"


# -- refused ---------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_model(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert line.isprintable(), "more than one line, or control characters"
    assert len(line) < len(str(path)) + 300
    return line.removeprefix(f"{path}: ")


def field(class_name: str, name: str, value: Any, number: int = 0) -> Callable[[Any], None]:
    """Set a field of a module; "" removes it."""

    def change(saved: Any) -> None:
        fields = t7.modules_of(saved, class_name)[number].fields
        if value == "":
            del fields[name]
        else:
            fields[name] = value

    return change


def renamed(class_name: str, other: str, number: int = 0) -> Callable[[Any], None]:
    def change(saved: Any) -> None:
        t7.modules_of(saved, class_name)[number].class_name = other

    return change


def view(**changes: Any) -> Callable[[Any], None]:
    """Change how the decoder's weight lies in its storage."""

    def change(saved: Any) -> None:
        weight = t7.modules_of(saved, "nn.Linear")[0].fields["weight"]
        for name, value in changes.items():
            setattr(weight.storage if name == "size" else weight, name, value)

    return change


def net(change: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda saved: change(saved["model"].fields)


HUGE = 2**62
CHANGES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda s: s.pop("model"), "not a checkpoint of torch-rnn .it holds val_loss_history, "),
    *(
        (
            net(lambda f, tag=tag: f.update(x={1: t7.Function(b"\x1bLJ", tag=tag)})),
            "^model.x.1: a Lua",
        )
        for tag in (6, 7, 8)
    ),
    (
        renamed("nn.LSTM", "nn.G\n\x1b[31mRU", 1),
        r"^model\.net\.modules\.7: .*no class of torch-rnn",
    ),
    (renamed("nn.LSTM", "nn.VanillaRNN", 1), "not a network of torch-rnn"),
    (renamed("nn.Dropout", "nn.View", 1), "not a network of torch-rnn"),
    (view(kind="Cuda"), "torch.CudaTensor, which is no class"),
    (lambda s: s.update(protos={"rnn": t7.Torch("nn.gModule", {})}), "char-rnn"),
    (lambda s: s.update(model=s), "not a checkpoint of torch-rnn"),
    (net(lambda f: f.update(net=f)), "not a network"),
    (net(lambda f: f["net"].fields["modules"].pop(2)), "not a network"),
    (net(lambda f: f["idx_to_token"].pop(1)), "idx_to_token"),
    (net(lambda f: f["idx_to_token"].update({1: "word"})), "not one character"),
    (net(lambda f: f["idx_to_token"].update({1: b"\xfc"})), "utf-8"),
    (net(lambda f: f["idx_to_token"].popitem()), r"\(26, 3\), not \(25, 3\)"),
    (field("nn.Dropout", "v2", False), "scales otherwise"),
    *((field("nn.Dropout", "p", value), "one share") for value in (0.25, "")),
    (field("nn.BatchNormalization", "eps", 1e-3), "its eps"),
    (field("nn.BatchNormalization", "running_var", t7.tensor(np.ones(3, "f4"))), "."),
    *(
        (field("nn.Linear", "weight", value), "nn.Linear.weight: no tensor of floats")
        for value in ("", t7.empty(), t7.tensor(np.ones((26, 5), np.int64)))
    ),
    (field("nn.LSTM", "bias", t7.tensor(np.ones(21, "f4"))), "does not fit"),
    (field("nn.Linear", "bias", t7.tensor(np.full(26, np.nan, "f4"))), "not finite"),
    *((view(sizes=sizes), "no tensor") for sizes in ((HUGE, 5), (-1, 5), (0, 5))),
    *((view(strides=strides), "no tensor") for strides in ((HUGE, 1), (0, 0), (1, 26))),
    *((view(offset=offset), "no tensor") for offset in (HUGE, -2, 10**4)),
    *((view(size=size), "damaged") for size in (HUGE, -1)),
]


@BOTH
@pytest.mark.parametrize(("change", "line"), CHANGES)
def test_what_is_refused(
    change: Callable[[Any], Any], line: str, ascii: bool, tmp_path: Path
) -> None:
    saved, _ = t7.checkpoint(TOKENS, batchnorm=True, dropout=0.5)
    change(saved)
    assert re.search(line, refusal(written(tmp_path, saved, ascii=ascii)))


@pytest.mark.parametrize(
    "content", [b"", b"\x03", b"PK\x03\x04", b"{}", b"\x04\0\0\0", bytes(100), b"3\n", b"3\0\0\0"]
)
def test_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.t7"
    path.write_bytes(content)
    assert re.search("not a checkpoint of torch-rnn|damaged", refusal(path))
    nested = (
        struct.pack("<6id", 3, i, 1, 1, 0, 0, 1)[:12] + struct.pack("<id", 1, 1)
        for i in range(9999)
    )
    path.write_bytes(b"".join(nested))
    assert "nested without end" in refusal(path)
    assert "cannot be read" in refusal(tmp_path / "none.t7")
    assert "cannot be read" in refusal(tmp_path)


# -- damaged ---------------------------------------------------------------------------

NAME = re.compile(rb"(?:nn|torch)\.[A-Za-z]+")


def damage(dice: random.Random, data: bytes) -> bytes:
    """A change anywhere, or in the tags, names, sizes and numbers around a class's name."""
    at, size, kind = dice.randrange(len(data)), dice.randrange(1, 100), dice.randrange(6)
    if kind > 3:
        name = dice.choice(list(NAME.finditer(data)))
        at = min(len(data) - 1, max(0, dice.choice([name.start(), name.end()]) + size // 2 - 25))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[at + size :]
    if kind == 2:
        return data[: at + size] + data[at:]
    if kind == 3:
        return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
    if kind == 4 and data[:1] != b"3":  # a size, an index or a tag
        new = struct.pack("<q", dice.choice([2**62, -1, 0, 2**31 - 1, 2**40, dice.randrange(9)]))
        return data[:at] + new + data[at + len(new) :]
    return data[:at] + dice.choice([b"\n8\n", b"9" * 5000, b"-", b"torch.Cuda"]) + data[at:]


def run(path: Path, content: bytes, seeds: range) -> set[str]:
    """Each damaged file is refused in a line, or the model but for a number; in little memory."""
    path.write_bytes(content)
    original = read_model(path)
    outcomes = set()
    for seed in seeds:
        path.write_bytes(damage(random.Random(seed), content))
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            model = read_model(path)
        except InputError:
            refusal(path)
            outcomes.add("refused")
        else:
            assert model.architecture.shapes() == original.architecture.shapes()
            pairs = [(model.weights[name], weight) for name, weight in original.weights.items()]
            changed = sum(np.count_nonzero(one != other) for one, other in pairs)
            assert changed <= 1, (seed, changed)
            outcomes.add("read" if changed else "unchanged")
        assert tracemalloc.get_traced_memory()[1] - before < 20_000_000, seed
    return outcomes


@pytest.fixture(params=[60, pytest.param(1500, marks=pytest.mark.slow)])
def seeds(request: pytest.FixtureRequest) -> Any:
    tracemalloc.start()
    yield range(request.param)
    tracemalloc.stop()


@BOTH
def test_damaged(ascii: bool, seeds: range, tmp_path: Path) -> None:
    saved, _ = t7.checkpoint(list("abcdefgh\n Üß"), batchnorm=True, dropout=0.5, num_layers=3)
    outcomes = run(tmp_path / "x.t7", t7.dumps(saved, ascii=ascii), seeds)
    assert "refused" in outcomes
    assert "read" in outcomes
