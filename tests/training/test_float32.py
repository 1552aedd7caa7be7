"""The precision of float32 is set for the computation, and left as the user has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning as L
import pytest
import torch
from torch.backends import cuda, cudnn

import charrnn
from charrnn import LanguageModel, TextDataModule
from charrnn.training import ReproducibleSteps
from tests.small_runs import Train
from tests.training.notebook import module_of, trainer

backends: Any = torch.backends
parts: tuple[Any, Any] = cudnn.rnn, cuda.matmul

pytestmark = pytest.mark.skipif(
    not hasattr(parts[0], "fp32_precision"), reason="this torch has the older flags only"
)


def settings() -> list[Any]:
    return [*(part.fp32_precision for part in parts), cudnn.deterministic, cudnn.benchmark]


@pytest.fixture
def allowed_tf32() -> Iterator[None]:
    backends.fp32_precision = "tf32"
    cuda.matmul.fp32_precision = "none"  # torch.compile in another test sets what it inherits
    yield
    backends.fp32_precision = "none"


def test_training_and_writing_leave_the_precision(train: Train, allowed_tf32: None) -> None:
    before = settings()
    run = train("trainer.max_steps=2")
    assert settings() == before
    assert "val/loss" in (run / "metrics.csv").read_text()
    model = charrnn.load(run)
    text = model.generate(20, seed=1, engine="torch")
    assert text == model.generate(20, seed=1, engine="numpy")
    assert settings() == before
    backends.fp32_precision = "none"  # what was inherited still is
    assert cuda.matmul.fp32_precision == "none"
    assert cudnn.allow_tf32 is True


class Settings(L.Callback):
    def __init__(self) -> None:
        self.between: list[list[Any]] = []

    def setup(self, *_: Any, **__: Any) -> None:
        self.between.append(settings())

    on_train_batch_end = on_validation_end = on_exception = setup


class Module(LanguageModel):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.during = settings()
        if self.global_step == 4:
            raise ValueError("a fault in a step")
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(("tf32", "expected"), [(False, "ieee"), (True, "tf32")])
def test_a_gpu_computes_as_decided_between_callbacks(
    data: TextDataModule, tf32: bool, expected: str
) -> None:
    module, seen, before = module_of(data, Module), Settings(), settings()
    run = trainer(ReproducibleSteps(tf32=tf32), seen, max_steps=9, val_check_interval=2)
    with pytest.raises(ValueError, match="a fault in a step"):
        run.fit(module, data)
    assert module.during == [expected, expected, True, False]
    assert len(seen.between) > 6
    assert all(between == before for between in seen.between)
    assert settings() == before
