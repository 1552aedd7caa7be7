"""Training, writing and scoring on simulated GPUs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.backends import cuda, cudnn
from torch.utils._python_dispatch import TorchDispatchMode

from charrnn import LanguageModel, TextDataModule, evaluation, processors
from charrnn.errors import InputError
from charrnn.evaluation import compute_stream_loss, compute_window_loss
from charrnn.generation.draw import Drawer
from charrnn.generation.engines import make_engine
from charrnn.generation.sampler import Sampler
from charrnn.model import Model
from charrnn.models.trained import TrainedModel, zero_state
from charrnn.networks.network import make_any_network
from charrnn.training import ReproducibleSteps, restoring
from tests.generation.models import (
    make_counted_model,
    make_model,
    make_torch_model,
    params,
    some_ids,
)
from tests.small_runs import Capture
from tests.tools import refusal_of
from tests.training.notebook import module_of, trainer


class NoFloat64(TorchDispatchMode):
    """Simulate an Apple GPU, beside which single numbers may be on the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, (list, tuple)) else (result,):
            is_tensor = isinstance(part, torch.Tensor) and part.dim()
            assert not (is_tensor and part.dtype == torch.float64), f"{func}: there is no float64"
        return result


def test_a_device_without_float64_trains_and_validates(data: TextDataModule) -> None:
    run = trainer(max_steps=6, val_check_interval=3, gradient_clip_val=1.0)
    with NoFloat64():
        run.fit(module_of(data, dropout=0.2), data)
        run.save_checkpoint("x.ckpt")
    assert run.callback_metrics["val/loss"].dtype == torch.float64


def test_random_numbers_of_every_device_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = torch.Generator()
    module = SimpleNamespace(get_rng_state=numbers.get_state, set_rng_state=numbers.set_state)
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    for kind in ("mps", "cuda"):
        (saved,) = restoring.collect_rank_states(None, torch.device(kind), 1)
        drawn = torch.rand(3), torch.rand(3, generator=numbers)
        restoring.restore_rank_state(saved, torch.device(kind))
        again = torch.rand(3), torch.rand(3, generator=numbers)
        assert all(map(torch.equal, drawn, again))


class Faulty(LanguageModel):
    """Records the settings of torch in a step, and fails in a later one."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.during = read_settings()
        if self.global_step == 4:
            raise ValueError("a fault in a step")
        return super().training_step(batch, batch_idx)


def read_settings() -> list[Any]:
    parts: tuple[Any, Any] = cudnn.rnn, cuda.matmul
    return [*(part.fp32_precision for part in parts), cudnn.deterministic, cudnn.benchmark]


@pytest.mark.skipif(not hasattr(cudnn, "rnn"), reason="this torch has the older flags only")
@pytest.mark.parametrize(("tf32", "expected"), [(False, "ieee"), (True, "tf32")])
def test_a_gpu_computes_as_decided_and_the_users_precision_is_restored(
    data: TextDataModule, monkeypatch: pytest.MonkeyPatch, tf32: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.backends, "fp32_precision", "tf32")
    module, before = module_of(data, Faulty), read_settings()
    run = trainer(ReproducibleSteps(tf32=tf32), max_steps=9, val_check_interval=2)
    with pytest.raises(ValueError, match="a fault in a step"):
        run.fit(module, data)
    assert module.during == [expected, expected, True, False]
    assert len(make_torch_model(module.to_model().trained).generate(20)) == 20
    assert read_settings() == before


def test_a_gpu_writes_where_there_is_one_and_it_has_enough_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    model = make_model()
    writer, weights = Sampler(model), sum(weight.size for weight in model.weights.values())
    monkeypatch.setattr(processors, "GPU_PRODUCTS", 20 * weights)
    asked = [("auto", 20), ("auto", 19), ("cpu", 20), ("cuda", 1)]
    assert [writer.choose_device(*each) for each in asked] == ["cuda", "cpu", "cpu", "cuda"]


def test_a_gpu_must_be_there(path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> None:
    for module in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(module, "is_available", lambda: False)
    for command, name in (("sample", "cuda"), ("evaluate", "mps")):
        line = refusal_of(capfd, command, str(path), f"device={name}")
        assert f"device={name}: this machine has no such GPU" in line
    model = Model(make_model())
    for ask, given in ((model.losses, "A text"), (model.generate, 5)):
        with pytest.raises(InputError, match=r"^device=cuda: this machine"):
            ask(given, device="cuda")


@pytest.mark.parametrize("model", [make_model("rnn", batchnorm=True), make_counted_model()])
def test_no_tensor_is_on_the_wrong_device(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        drawer = Drawer(params(), model.vocabulary)
        state = engine.advance(ids, state)
        written, _ = engine.write(
            ids[:, -1], state, uniforms, drawer, [drawer.resume() for _ in ids]
        )
        assert written.shape == (N, 5)
    for name in ("SHORTEST_ROW", "WARM_UP", "CHUNK"):  # so that there are two short rows
        monkeypatch.setattr(evaluation, name, 8)
    network, ids = make_any_network(model).to("meta"), some_ids(model, 18)
    for score in (compute_stream_loss(network, ids), compute_window_loss(network, ids, 9)):
        assert score.characters == 17
