"""Test devices of scoring and writing: patches and the meta device simulate GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charrnn import processors
from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.evaluation import stream_losses
from charrnn.evaluation.stream_losses import compute_stream_loss, compute_window_loss
from charrnn.generation import sampler
from charrnn.generation.engines import make_engine
from charrnn.model import Model
from charrnn.models.trained import Trained, TrainedEnsemble, zero_state
from charrnn.networks.ensemble import make_any_network
from tests.generation.models import batch_of, counted, params, some_ids, trained_model

MODEL = trained_model()
WEIGHTS = sum(weight.size for weight in MODEL.weights.values())


@pytest.fixture
def used(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the devices that are used, in the folder of a model, on a machine with a CUDA GPU."""
    found: list[str] = []

    def make_cpu_engine(
        model: Trained, name: str = "auto", precision: int = 32, device: str = "cpu"
    ) -> Any:
        found.append(device)
        return make_engine(model, name, precision)

    def stay(network: torch.nn.Module, device: str) -> torch.nn.Module:
        found.append(device)
        return network

    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    monkeypatch.setattr(processors, "GPU_PRODUCTS", 20 * WEIGHTS)
    monkeypatch.setattr(sampler, "make_engine", make_cpu_engine)
    monkeypatch.setattr(torch.nn.Module, "to", stay)
    return found


@pytest.mark.parametrize(
    ("options", "device"),
    [
        ("num_samples=20", "cuda"),
        ("num_samples=19", "cpu"),
        ("num_samples=20 engine=numpy", "cpu"),
        ("num_samples=20 device=cpu", "cpu"),
        ("device=cuda", "cuda"),
        ("device=cuda novel=40 corpus=text.txt", "cuda"),
    ],
)
def test_many_texts_are_written_on_a_gpu(
    used: list[str], options: str, device: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", "model.safetensors", "length=9", "seed=1"]
    Model(MODEL).save("model.safetensors")
    Path("text.txt").write_text("A text.")
    assert main([*words, *options.split()]) == 0
    said = {"cuda": "device: Some GPU\n", "cpu": ""}[device]
    on_gpu = capfd.readouterr()
    assert on_gpu.err == ("device: CPU\n" if "device=cpu" in options else said)
    assert used[-1] == device
    assert main([*words, *options.split(), "device=cpu"]) == 0
    assert capfd.readouterr().out == on_gpu.out


def test_a_gpu_scores(used: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    Path("text.txt").write_text("To be or not to be")
    words = ["evaluate", "model.safetensors", "data.input_txt=text.txt"]
    Model(MODEL).save("model.safetensors")
    assert [main([*words, *given]) for given in ([], ["device=cpu"])] == [0, 0]
    assert capfd.readouterr().err == "device: Some GPU\ndevice: CPU\n"
    Model(MODEL).score("A text")
    Model(MODEL).losses("A text", device="cpu")
    assert used == ["cuda", "cpu", "cuda", "cpu"]


def test_a_gpu_that_there_is_not_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for module in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(module, "is_available", lambda: False)
    for command in ("sample", "evaluate"):
        for name in ("cuda", "mps"):
            assert main([command, str(path), f"device={name}"]) == 2
            out, err = capfd.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert err.startswith(f"charrnn {command}: device={name}: this machine has no such GPU")
    model = Model(MODEL)
    for ask, given in ((model.score, "A text"), (model.losses, "A text"), (model.generate, 5)):
        with pytest.raises(InputError, match=r"^device=cuda: this machine"):
            ask(given, device="cuda")


@pytest.mark.parametrize(
    "model", [trained_model("rnn", batchnorm=True), TrainedEnsemble((counted(), counted("gru")))]
)
def test_no_tensor_is_on_the_wrong_device(model: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check with the meta device, whose operations refuse a tensor of the CPU."""
    to_cpu = torch.Tensor.cpu

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        assert tensor.dtype != torch.float64  # which mps lacks
        return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else to_cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", copy)
    engine = make_engine(model, device="meta")
    for N in (1, 3):
        ids, uniforms = some_ids(model, N, 4), np.random.default_rng(9).random((N, 5))
        _, state = engine.read(ids, zero_state(model, N))
        batch, state = batch_of(params(), ids, model.vocabulary), engine.advance(ids, state)
        written, _ = engine.write(ids[:, -1], state, uniforms, batch)
        assert written.shape == (N, 5)
    for name in ("SHORTEST_ROW", "WARM_UP", "CHUNK"):  # so that there are two short rows
        monkeypatch.setattr(stream_losses, name, 8)
    network, ids = make_any_network(model).to("meta"), some_ids(model, 18)
    for score in (compute_stream_loss(network, ids), compute_window_loss(network, ids, 9)):
        assert score.characters == 17
