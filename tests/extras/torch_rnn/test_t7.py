"""torch-rnn's files: Torch's own scores, both formats, and what is damaged or would harm.

data/ holds two checkpoints of random weights, each in binary and in ascii, laid out as
torch-rnn does, and what torch-rnn's forward pass says by them in float64.
"""

from __future__ import annotations

import json
import random
import re
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charrnn
from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.extras.torch_rnn.torch_rnn_model import read_model
from charrnn.networks.network import count_parameters, make_network
from tests.refusals import refusal

FOLDER = Path(__file__).parent / "data"
BOTH = pytest.mark.parametrize("ending", [".t7", ".ascii.t7"])


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
    assert count_parameters(network) == expected["num_parameters"]
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


@BOTH
@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_both_cells_in_both_formats(name: str, ending: str) -> None:
    """With batch normalization and dropout, and in float64; characters, and bytes."""
    path, expected = FOLDER / f"{name}{ending}", json.loads((FOLDER / "expected.json").read_text())
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


HUGE = b"%d" % 2**62
DECODER = rb"(\n2\n)(\d+ 5)(\n)(5 1)(\n)(\d+)"  # its sizes, strides and offset
# what is replaced in the ascii file, by what, and the line that refuses it
CHANGES = [
    (rb"5\nmodel", b"5\nmodal", "not a checkpoint of torch-rnn .it has val_loss_history, "),
    *((rb"5\nmodel\n4", b"5\nmodel\n%d" % tag, "a Lua function") for tag in (6, 7, 8)),
    (rb"nn\.LSTM", b"nn.G\x1bTM", "nn.G.x1bTM, which is no class of torch-rnn"),
    (rb"7\nnn\.LSTM", b"13\nnn.VanillaRNN", "not a network of torch-rnn"),
    (rb"10\nnn\.Dropout", b"7\nnn.View", "not a network of torch-rnn"),
    (rb"V 1\n17\ntorch\.Float", b"V 1\n16\ntorch.Cuda", "torch.CudaTensor, which is no class"),
    (rb"5\nmodel(.{,20})16\nnn\.LanguageModel", rb"6\nprotos\g<1>10\nnn.gModule", "char-rnn"),
    (rb"\n1\nZ\n", b"\n2\nZZ\n", "not a single character"),
    (rb"\n1\nZ\n", b"\n1\n\xfc\n", "utf-8"),
    (rb"p\n1\n0\.25", b"p\n5\n1", "no probability"),
    (rb"eps\n1\n\S+", b"eps\n1\n0.001", "eps is not"),
    (rb"(FloatStorage\n\d+\n)\S+", rb"\g<1>nan", "not finite"),
    *((rb"(FloatStorage\n)\d+", rb"\g<1>" + size, "damaged") for size in (HUGE, b"-1")),
    *(
        (DECODER, rb"\g<1>" + sizes + rb"\g<3>\g<4>\g<5>\g<6>", "not a 2-D tensor")
        for sizes in (HUGE + b" 5", b"-1 5", b"0 5")
    ),
    *(
        (DECODER, rb"\g<1>\g<2>\g<3>" + strides + rb"\g<5>\g<6>", "not a 2-D tensor")
        for strides in (HUGE + b" 1", b"0 0", b"1 16")
    ),
    *(
        (DECODER, rb"\g<1>\g<2>\g<3>\g<4>\g<5>" + offset, "not a 2-D tensor")
        for offset in (HUGE, b"-1", b"10000")
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), CHANGES)
def test_what_is_refused(old: bytes, new: bytes, line: str, tmp_path: Path) -> None:
    whole, path = (FOLDER / "lstm.ascii.t7").read_bytes(), tmp_path / "x.t7"
    path.write_bytes(re.sub(old, new, whole, count=1, flags=re.DOTALL))
    assert path.read_bytes() != whole
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
            refusal(path, read_model)
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
def test_damaged(ending: str, seeds: range, tmp_path: Path) -> None:
    outcomes = run(tmp_path / "x.t7", (FOLDER / f"lstm{ending}").read_bytes(), seeds)
    assert {"refused", "read"} <= outcomes


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
