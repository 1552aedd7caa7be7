"""torch-rnn's files: models against Torch's own scores, and files of every age and form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import charrnn
from charrnn.models.torch7 import read_model
from charrnn.models.trained import TrainedModel
from charrnn.network import Network, network_of, num_parameters
from tests.models.torch7 import writer as t7

CHECKPOINTS = ["lstm", "lstm.ascii", "lstm_bn", "rnn"]
TOKENS = list("First Czen:\nBfowpcdayuh,mk")


@pytest.fixture(params=CHECKPOINTS)
def reference(request: pytest.FixtureRequest, shared: Path) -> tuple[TrainedModel, dict[str, Any]]:
    """A checkpoint that torch-rnn wrote, as read here, and Torch's scores for it."""
    path = shared / "torch7" / f"{request.param}.t7"
    if not path.is_file():
        pytest.skip(f"../shared/torch7/{path.name} is missing")
    return read_model(path), json.loads(path.with_suffix(".ref.json").read_text())


def evaluated(model: TrainedModel) -> Network:
    return network_of(model).eval()


@torch.no_grad()
def logits(model: TrainedModel, ids: Any) -> np.ndarray:
    scores, _ = evaluated(model)(torch.as_tensor(ids).unsqueeze(0))
    return scores[0].numpy()


@torch.no_grad()
def greedy(model: TrainedModel, ids: list[int], length: int) -> str:
    network = evaluated(model)
    ids = list(ids)
    scores, state = network(torch.tensor([ids]))
    while len(ids) < length:
        ids.append(int(scores[0, -1].argmax()))
        scores, state = network(torch.tensor([ids[-1:]]), state)
    return model.vocabulary.decode(ids)


class TestAgainstTorch:
    def test_logits(self, reference: tuple[TrainedModel, dict[str, Any]]) -> None:
        model, expected = reference
        network = evaluated(model)
        ids = torch.tensor([expected["input_ids_1based"]]) - 1
        batch = torch.tensor(expected["batch_ids_1based"]) - 1
        assert model.vocabulary.encode(expected["input_text"]).tolist() == ids[0].tolist()
        with torch.no_grad():
            first, state = network(ids)
            second, _ = network(ids, state)
            rows, _ = network(batch)
        close = {"rtol": 0, "atol": 1e-5}
        np.testing.assert_allclose(first[0], expected["scores"], **close)
        np.testing.assert_allclose(second[0], expected["scores_second_pass_state_carried"], **close)
        np.testing.assert_allclose(rows[0], expected["batch_scores_row1"], **close)
        np.testing.assert_allclose(rows[1], expected["batch_scores_row2"], **close)

    def test_likeliest_text(self, reference: tuple[TrainedModel, dict[str, Any]]) -> None:
        model, expected = reference
        start = model.vocabulary.encode(expected["start_text"]).tolist()
        length = expected["length"]
        assert greedy(model, start, length) == expected["argmax_sample"]
        assert greedy(model, [0], length) == expected["argmax_sample_no_start_text"]

    def test_by_the_front_door(
        self, request: pytest.FixtureRequest, reference: tuple[TrainedModel, dict[str, Any]]
    ) -> None:
        """The same through `charrnn.load` and the engine that samples."""
        _, expected = reference
        name, start = expected["checkpoint"], expected["start_text"]
        model = charrnn.load(request.getfixturevalue("shared") / "torch7" / name)
        scores = model.logits(expected["input_text"])
        np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=1e-5)
        for sample in ({"temperature": 0}, {"sample": False}):
            text = model.generate(expected["length"] - len(start), start, **sample)
            assert start + text == expected["argmax_sample"]

    def test_hyperparameters(self, reference: tuple[TrainedModel, dict[str, Any]]) -> None:
        model, expected = reference
        architecture = model.architecture
        assert architecture.kind == expected["model_type"]
        assert architecture.embedding_size == expected["wordvec_size"]
        assert architecture.hidden_size == expected["rnn_size"]
        assert architecture.num_layers == expected["num_layers"]
        assert architecture.dropout == expected["dropout"]
        assert architecture.batchnorm == bool(expected["batchnorm"])
        assert num_parameters(evaluated(model)) == expected["num_parameters"]
        assert model.facts["step"] == expected["i"]
        assert model.facts["val_loss"] == expected["val_loss_history"][-1]
        assert model.facts["train_loss"] == expected["train_loss_last"]

    def test_validation_loss(
        self, reference: tuple[TrainedModel, dict[str, Any]], tiny_shakespeare: Path
    ) -> None:
        """Over the windows that torch-rnn scored: its own validation loss."""
        model, expected = reference
        text = tiny_shakespeare.read_text()
        ids = model.vocabulary.encode(text)
        size = int(0.1 * len(ids))
        val = torch.from_numpy(ids[len(ids) - 2 * size : len(ids) - size])
        N, T = 50, 50
        used = len(val) - len(val) % (N * T)
        inputs, targets = val[:used].view(N, -1), val[1 : used + 1].view(N, -1)
        network, state, losses = evaluated(model), None, []
        with torch.no_grad():
            for start in range(0, inputs.shape[1], T):
                columns = slice(start, start + T)
                scores, state = network(inputs[:, columns], state)
                losses.append(F.cross_entropy(scores.flatten(0, 1), targets[:, columns].flatten()))
        assert abs(np.mean(losses) - expected["val_loss_history"][-1]) < 1e-5


def test_ascii_and_binary_are_one_model(shared: Path) -> None:
    binary, ascii = (read_model(shared / "torch7" / f"lstm{s}.t7") for s in ("", ".ascii"))
    assert binary.architecture == ascii.architecture
    assert binary.vocabulary == ascii.vocabulary
    assert binary.facts == ascii.facts
    for name, weight in binary.weights.items():
        assert np.array_equal(weight, ascii.weights[name]), name


def test_needs_numpy_alone(tmp_path: Path) -> None:
    """A sample of a .t7 does not wait for torch."""
    saved, _ = t7.checkpoint(TOKENS)
    code = (
        "import sys; from pathlib import Path; from charrnn.models.torch7 import read_model; "
        "read_model(Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    path = t7.written(tmp_path, saved)
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


FORMS: list[dict[str, Any]] = [
    {},
    {"kind": "rnn"},
    {"num_layers": 1},
    {"num_layers": 3, "sizes": (7, 4)},
    {"dropout": 0.25},
    {"batchnorm": True, "dropout": 0.5, "num_layers": 3},
    {"batchnorm": True, "kind": "rnn", "eps": 1e-3},
    {"batchnorm": True, "old_batchnorm": True},
    {"batchnorm": True, "old_batchnorm": True, "eps": 1e-2},
    {"dtype": "f8"},
    {"one_storage": False},
]


@pytest.mark.parametrize("ascii", [False, True], ids=["binary", "ascii"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form(form: dict[str, Any], ascii: bool, tmp_path: Path) -> None:
    """One computed as torch-rnn's source says, in torch-rnn's layout, equals the network."""
    saved, reference = t7.checkpoint(TOKENS, **form)
    model = read_model(t7.written(tmp_path, saved, ascii=ascii))
    ids = np.random.default_rng(1).integers(0, len(TOKENS), 30)
    np.testing.assert_allclose(logits(model, ids), reference.logits(ids), rtol=0, atol=2e-5)
    assert model.architecture.dropout == form.get("dropout", 0)
    assert model.architecture.batchnorm == form.get("batchnorm", False)
    assert model.facts == {
        "source": "torch-rnn",
        "step": 3,
        "train_loss": 2.625,
        "val_loss": 2.5,
        "input_h5": "tiny.h5",
        "input_json": "tiny.json",
    }


@pytest.mark.parametrize("ascii", [False, True], ids=["binary", "ascii"])
def test_before_classes_had_versions(ascii: bool, tmp_path: Path) -> None:
    saved, reference = t7.checkpoint(TOKENS, batchnorm=True, old_batchnorm=True)
    model = read_model(t7.written(tmp_path, saved, ascii=ascii, versions=False))
    ids = np.arange(len(TOKENS))
    np.testing.assert_allclose(logits(model, ids), reference.logits(ids), rtol=0, atol=2e-5)


@pytest.mark.parametrize("old", [False, True], ids=["running_var", "running_std"])
@pytest.mark.parametrize("eps", [1e-6, 1e-5, 1e-4])
def test_units_that_never_varied(eps: float, old: bool, tmp_path: Path) -> None:
    """An eps below PyTorch's is met too where the variance is smaller still."""
    saved, reference = t7.checkpoint(TOKENS, batchnorm=True, eps=eps)
    for norm, expected in zip(
        t7.modules_of(saved, "nn.BatchNormalization"), reference.norms, strict=True
    ):
        expected["running_var"][::2] = 0
        variance = expected["running_var"].astype(np.float64)
        if old:
            del norm.fields["running_var"]
            norm.fields["running_std"] = t7.tensor(((variance + eps) ** -0.5).astype(np.float32))
        else:
            norm.fields["running_var"] = t7.tensor(expected["running_var"])
    model = read_model(t7.written(tmp_path, saved))
    ids = np.arange(len(TOKENS))
    np.testing.assert_allclose(logits(model, ids), reference.logits(ids), rtol=1e-4, atol=1e-4)


def test_transposed_weight(tmp_path: Path) -> None:
    """Strides are followed."""
    saved, reference = t7.checkpoint(TOKENS, one_storage=False)
    (linear,) = t7.modules_of(saved, "nn.Linear")
    weight = reference.decoder[0]
    V, H = weight.shape
    storage = t7.Storage(np.ascontiguousarray(weight.T).ravel())
    linear.fields["weight"] = t7.Tensor(storage, (V, H), (1, V))
    model = read_model(t7.written(tmp_path, saved))
    assert np.array_equal(model.weights["decoder.weight"], weight)


def test_older_facts(tmp_path: Path) -> None:
    """Versions that wrote no step still tell it, and empty histories are no error."""
    saved, _ = t7.checkpoint(TOKENS)
    del saved["i"], saved["opt"]
    saved["train_loss_history"] = {}
    facts = read_model(t7.written(tmp_path, saved)).facts
    assert facts == {"source": "torch-rnn", "step": 3, "val_loss": 2.5}


UNICODE = [*"Zür ichß東京😀\n\0'\"", "\u2028", "\u0301"]


@pytest.mark.parametrize("ascii", [False, True], ids=["binary", "ascii"])
def test_unicode_vocabulary(ascii: bool, tmp_path: Path) -> None:
    saved, reference = t7.checkpoint(UNICODE)
    model = read_model(t7.written(tmp_path, saved, ascii=ascii))
    assert model.vocabulary.characters == UNICODE
    assert not model.vocabulary.is_bytes
    ids = model.vocabulary.encode("Zürich 東京😀")
    np.testing.assert_allclose(logits(model, ids), reference.logits(ids), rtol=0, atol=2e-5)


def test_bytes_vocabulary(tmp_path: Path) -> None:
    saved, _ = t7.checkpoint(["a", "[", "[200]", "[255]", "]"])
    vocabulary = read_model(t7.written(tmp_path, saved)).vocabulary
    assert vocabulary.is_bytes
    text = vocabulary.decode(range(5))
    assert text.encode("ascii", "surrogateescape") == b"a[\xc8\xff]"
