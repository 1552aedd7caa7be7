"""torch-rnn's files: their scores, and what is damaged or would harm; its command lines."""

from __future__ import annotations

import json
import re
import shlex
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charrnn
from charrnn.__main__ import main
from charrnn.extras.torch_rnn.torch_rnn_model import read_model
from charrnn.models.trained import TrainedModel
from charrnn.networks.network import make_network
from tests.conftest import write_files
from tests.extras.torch_rnn.torch7_files import (
    NUMBERS,
    compute_logits,
    integers,
    longs,
    make_checkpoint,
    string,
    to_torch7,
)
from tests.tools import damage_is_noticed, refusal

CHARACTERS = [*"Zür ichß東京😀\n\0'\"", "\u2028", "\u0301"]
BYTES = ["a", "[", "[200]", "[255]", "]"]
CHECKPOINTS: dict[str, tuple[Any, ...]] = {
    "lstm": ("nn.LSTM", "f4", CHARACTERS),
    "lstm, batchnorm": ("nn.LSTM", "f4", CHARACTERS, True, 0.25),
    "rnn": ("nn.VanillaRNN", "f4", CHARACTERS),
    "rnn, bytes": ("nn.VanillaRNN", "f8", BYTES),
}
FACTS = {"step": 3, "val_loss": 2.5, "input_h5": "tiny.h5", "input_json": "tiny.json"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.t7"
    path.write_bytes(to_torch7(make_checkpoint(*CHECKPOINTS["lstm, batchnorm"]), {}))
    return path


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_t7_has_the_scores_of_its_definition(name: str, tmp_path: Path) -> None:
    """Compare network and sampling engine with the definitions in float64."""
    path, checkpoint = tmp_path / "x.t7", make_checkpoint(*CHECKPOINTS[name])
    path.write_bytes(to_torch7(checkpoint, {}))
    model, loaded, tokens = read_model(path), charrnn.load(path), CHECKPOINTS[name][2]
    assert model.facts == {"source": "torch-rnn", **FACTS}
    assert model.vocabulary.to_tokens() == tokens
    assert model.vocabulary.is_bytes == (tokens == BYTES)
    assert model.architecture.dropout == (0.25 if "batchnorm" in name else 0)

    rows = np.random.default_rng(2).integers(len(tokens), size=(2, 12))
    expected = np.array([compute_logits(checkpoint, row) for row in rows])
    network = make_network(model).eval()
    with torch.no_grad():
        first, state = network(torch.from_numpy(rows[:, :5]))
        second, _ = network(torch.from_numpy(rows[:, 5:]), state)
    np.testing.assert_allclose(torch.cat([first, second], 1), expected, rtol=0, atol=2e-5)
    logits = loaded.logits(model.vocabulary.decode(rows[0]))
    np.testing.assert_allclose(logits, expected[0], rtol=0, atol=2e-5)

    ids = [0]
    for _ in range(20):
        ids.append(int(compute_logits(checkpoint, np.array(ids))[-1].argmax()))
    start, likeliest = model.vocabulary.decode(ids[:1]), model.vocabulary.decode(ids[1:])
    assert loaded.generate(20, start, temperature=0) == likeliest


def test_files_of_torch_rnn_have_the_scores_of_torch(reference_data: Path) -> None:
    """Compare with the numbers that Torch computed with checkpoints of torch-rnn."""
    paths = [reference_data / "torch7" / f"{name}.t7" for name in ("lstm", "lstm_bn", "rnn")]
    if not all(path.is_file() for path in paths):
        pytest.skip(f"the checkpoints of torch-rnn in {reference_data / 'torch7'} are missing")
    for path in paths:
        expected, loaded = json.loads(path.with_suffix(".ref.json").read_text()), charrnn.load(path)
        assert loaded.trained.architecture.num_parameters == expected["num_parameters"]
        assert loaded.trained.facts["val_loss"] == expected["val_loss_history"][-1]
        logits, start = loaded.logits(expected["input_text"]), expected["start_text"]
        np.testing.assert_allclose(logits, expected["scores"], rtol=0, atol=1e-5)
        text = loaded.generate(expected["length"] - len(start), start, temperature=0)
        assert start + text == expected["argmax_sample"]


HUGE = 2**62
FLOATS = string(b"torch.FloatStorage")
# the sizes, the strides and the offset of the decoder's weight
DECODER = integers(2) + longs(17, 5, 5, 1, 492)
# what is replaced in the file, by what, and the line that refuses it
CHANGES = [
    (b"nn.LSTM", b"nn.G\x1bTM", "nn.G.x1bTM', which is no class of torch-rnn"),
    (string(b"nn.LanguageModel"), string(b"nn.gModule"), "char-rnn"),
    (b"eps" + to_torch7(1e-5, {}), b"eps" + to_torch7(0.001, {}), "eps is not"),
    (FLOATS + longs(NUMBERS), FLOATS + longs(HUGE), "damaged"),
    (DECODER, integers(2) + longs(17, 5, HUGE, 1, 492), "not a 2-D tensor"),
]


@pytest.mark.parametrize(("old", "new", "line"), CHANGES)
def test_a_t7_with_other_content_is_refused_by_name(
    old: bytes, new: bytes, line: str, path: Path
) -> None:
    whole = path.read_bytes()
    assert old in whole
    path.write_bytes(whole.replace(old, new, 1))
    assert re.search(line, refusal(path, read_model))


def test_a_file_that_is_no_t7_is_refused(path: Path, tmp_path: Path) -> None:
    whole, nested = path.read_bytes(), (integers(3, i, 1) + to_torch7(1, {}) for i in range(9999))
    for content, line in (
        (whole + b"x", "there is data after the end"),
        (b"".join(nested), "nested too deeply"),
    ):
        path.write_bytes(content)
        assert line in refusal(path, read_model)
    assert "cannot be read" in refusal(tmp_path, read_model)


def test_a_damaged_t7_is_refused_or_has_other_numbers(path: Path) -> None:
    """Check that each damaged file is refused, or read with other numbers, in little memory."""
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
        refused = damage_is_noticed(path, read, check, 100, path.stat().st_size)
    finally:
        tracemalloc.stop()
    assert 0 < refused < 100


def test_a_t7_is_converted(path: Path, tmp_path: Path) -> None:
    assert main(["convert", f"input={path}", f"output={tmp_path}/model.safetensors"]) == 0
    expected, got = charrnn.load(path), charrnn.load(tmp_path / "model.safetensors")
    assert got.trained.architecture == expected.trained.architecture
    assert got.generate(100, seed=1) == expected.generate(100, seed=1)


# command lines as tutorials print them, and charrnn's
LINES = {
    "train -input_h5 x.h5 -input_json x.json -rnn_size 256 -batchnorm 1 -gpu -1": (
        "charrnn train experiment=torch_rnn data.input_h5=x.h5 data.input_json=x.json "
        "model.hidden_size=256 model.batchnorm=true trainer=cpu\n"
    ),
    "train -data_dir data/mine -lr_decay_every 10 -lr_decay_factor 0.7 -grad_clip 0": (
        "charrnn train data.input_txt=data/mine schedule=step schedule.decay_every=10 "
        "schedule.decay_factor=0.7 trainer.gradient_clip_val=null\n"
    ),
    "sample -checkpoint cv/checkpoint_10000.t7 -length 2000 -sample 0 -gpu 0": (
        "charrnn sample checkpoint=cv/checkpoint_10000.t7 length=2000 sample=false\n"
    ),
    "sample cv/lm.t7 -primetext the": "charrnn sample cv/lm.t7 start_text=the\n",
    "preprocess --input_txt my.txt --output_h5 x.h5": (
        "charrnn preprocess input_txt=my.txt output_h5=x.h5\n"
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_torch_rnn_is_answered_with_ours(line: str, door: Any) -> None:
    assert door.refuses(*line.split()).endswith(LINES[line])
    write_files(Path(), {"data/mine": "a text"})
    assert door(*shlex.split(LINES[line])[1:]).code == 0
