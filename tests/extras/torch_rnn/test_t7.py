"""torch-rnn's files: Torch's own scores, and what is damaged or would harm.

data/ holds two checkpoints of random weights, laid out as torch-rnn does, and what torch-rnn's
forward pass says by them in float64.
"""

from __future__ import annotations

import json
import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

import charrnn
from charrnn.__main__ import main
from charrnn.extras.torch_rnn.torch_rnn_model import read_model
from charrnn.models.trained import TrainedModel
from charrnn.networks.network import make_network
from tests.refusals import damage_is_noticed, refusal

FOLDER = Path(__file__).parent / "data"


def t7_of(shared: Path, name: str) -> Path:
    path = shared / "torch7" / f"{name}.t7"
    if not path.is_file():
        pytest.skip(f"../shared/torch7/{path.name} is missing")
    return path


@pytest.mark.parametrize("name", ["lstm", "lstm_bn", "rnn"])
def test_torchs_own_scores(name: str, shared: Path) -> None:
    path = t7_of(shared, name)
    expected = json.loads(path.with_suffix(".ref.json").read_text())
    model = read_model(path)
    network = make_network(model).eval()
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
    assert network.architecture.num_parameters == expected["num_parameters"]
    assert model.facts["step"] == expected["i"]
    assert model.facts["val_loss"] == expected["val_loss_history"][-1]

    # through charrnn.load and the engine that samples
    loaded, start = charrnn.load(path), expected["start_text"]
    scores = loaded.logits(expected["input_text"])
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=1e-5)
    text = loaded.generate(expected["length"] - len(start), start, temperature=0)
    assert start + text == expected["argmax_sample"]
    first_character = model.vocabulary.decode([0])  # with which torch-rnn begins without a start
    text = loaded.generate(expected["length"] - 1, first_character, temperature=0)
    assert first_character + text == expected["argmax_sample_no_start_text"]


@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_both_cells(name: str) -> None:
    """With batch normalization and dropout, and in float64; characters, and bytes."""
    path, expected = FOLDER / f"{name}.t7", json.loads((FOLDER / "expected.json").read_text())
    model = read_model(path)
    text = model.vocabulary.decode(expected[name]["ids"])
    found = charrnn.load(path).logits(text)
    np.testing.assert_allclose(found, expected[name]["logits"], rtol=0, atol=2e-5)
    assert model.architecture.dropout == (0.25 if name == "lstm" else 0)
    assert model.vocabulary.is_bytes == (name == "rnn")
    tokens = [*"Zür ichß東京😀\n\0'\"", "\u2028", "\u0301"]
    assert model.vocabulary.to_tokens() == (
        tokens if name == "lstm" else ["a", "[", "[200]", "[255]", "]"]
    )
    assert model.facts == {
        "source": "torch-rnn",
        "step": 3,
        "val_loss": 2.5,
        "input_h5": "tiny.h5",
        "input_json": "tiny.json",
    }


# -- refused ---------------------------------------------------------------------------


def integer(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def long(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def string(text: bytes) -> bytes:
    return integer(len(text)) + text


HUGE = 2**62
VERSION = string(b"V 1")
FLOATS = string(b"torch.FloatStorage")
# the sizes, the strides and the offset of the decoder's weight
DECODER = integer(2) + long(17, 5, 5, 1, 472)
# what is replaced in the file, by what, and the line that refuses it
CHANGES = [
    (b"model", b"modal", "not a checkpoint of torch-rnn .it has val_loss_history, "),
    *((b"model" + integer(4), b"model" + integer(tag), "a Lua function") for tag in (6, 7, 8)),
    (b"nn.LSTM", b"nn.G\x1bTM", "nn.G.x1bTM, which is no class of torch-rnn"),
    (string(b"nn.LSTM"), string(b"nn.VanillaRNN"), "not a network of torch-rnn"),
    (string(b"nn.Dropout"), string(b"nn.View"), "not a network of torch-rnn"),
    (VERSION + string(b"torch.FloatTensor"), VERSION + string(b"torch.CudaTensor"), "CudaTensor"),
    (string(b"nn.LanguageModel"), string(b"nn.gModule"), "char-rnn"),
    (integer(2) + string(b"Z"), integer(2) + string(b"ZZ"), "not a single character"),
    (integer(2) + string(b"Z"), integer(2) + string(b"\xfc"), "utf-8"),
    (b"p" + struct.pack("<id", 1, 0.25), b"p" + integer(5, 1), "no probability"),
    (b"eps" + struct.pack("<id", 1, 1e-5), b"eps" + struct.pack("<id", 1, 0.001), "eps is not"),
    *((FLOATS + long(573), FLOATS + long(size), "damaged") for size in (HUGE, -1)),
    *(
        (DECODER, integer(2) + long(*values), "not a 2-D tensor")
        for values in (
            *((HUGE, 5, 5, 1, 472), (-1, 5, 5, 1, 472), (0, 5, 5, 1, 472)),  # sizes
            *((17, 5, HUGE, 1, 472), (17, 5, 0, 0, 472), (17, 5, 1, 16, 472)),  # strides
            *((17, 5, 5, 1, HUGE), (17, 5, 5, 1, -1), (17, 5, 5, 1, 10_000)),  # offsets
        )
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), CHANGES)
def test_what_is_refused(old: bytes, new: bytes, line: str, tmp_path: Path) -> None:
    whole, path = (FOLDER / "lstm.t7").read_bytes(), tmp_path / "x.t7"
    assert old in whole
    path.write_bytes(whole.replace(old, new, 1))
    assert re.search(line, refusal(path, read_model))


@pytest.mark.parametrize(
    "content", [b"", b"\x03", b"PK\x03\x04", b"{}", b"\x04\0\0\0", bytes(100), b"3\n", b"3\0\0\0"]
)
def test_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.t7"
    path.write_bytes(content)
    assert re.search("not a checkpoint of torch-rnn|damaged", refusal(path, read_model))
    nested = (
        struct.pack("<6id", 3, i, 1, 1, 0, 0, 1)[:12] + struct.pack("<id", 1, 1)
        for i in range(9999)
    )
    path.write_bytes(b"".join(nested))
    assert "nested too deeply" in refusal(path, read_model)
    assert "cannot be read" in refusal(tmp_path / "none.t7", read_model)
    assert "cannot be read" in refusal(tmp_path, read_model)


@pytest.mark.parametrize("count", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_damaged(count: int, tmp_path: Path) -> None:
    """In little memory, each damaged file is refused, or read but for some numbers."""
    path = tmp_path / "x.t7"
    path.write_bytes((FOLDER / "lstm.t7").read_bytes())
    shapes = read_model(path).architecture.shapes()

    def read(path: Path) -> TrainedModel:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            return read_model(path)
        finally:
            assert tracemalloc.get_traced_memory()[1] - before < 20_000_000

    def check(model: TrainedModel) -> None:
        assert model.architecture.shapes() == shapes

    tracemalloc.start()
    try:
        refused = damage_is_noticed(path, read, check, count, path.stat().st_size)
    finally:
        tracemalloc.stop()
    assert 0 < refused < count


def test_every_command_takes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = FOLDER / "lstm.t7", tmp_path / "model.safetensors"
    assert main(["convert", f"input={source}", f"output={output}"]) == 0
    expected, got = charrnn.load(source), charrnn.load(output)
    assert got.trained.architecture == expected.trained.architecture
    assert got.generate(100, seed=1) == expected.generate(100, seed=1)
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text("".join(got.vocabulary.characters) * 40, encoding="utf-8")
    assert main(["evaluate", f"checkpoint={source}", "data.input_txt=my.txt"]) == 0
    few = ["trainer=cpu", "trainer.max_steps=2", "hydra.run.dir=run"]
    assert main(["train", "my.txt", f"init_from={source}", *few]) == 0
