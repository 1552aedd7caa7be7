"""The precision of float32 is set for a training, and restored at its end."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.backends import cuda, cudnn

from charrnn import LanguageModel, TextDataModule
from charrnn.training import ReproducibleSteps
from tests.generation.models import make_torch_model
from tests.training.notebook import module_of, trainer

parts: tuple[Any, Any] = getattr(cudnn, "rnn", None), cuda.matmul

pytestmark = pytest.mark.skipif(
    not hasattr(parts[0], "fp32_precision"), reason="this torch has the older flags only"
)


def settings() -> list[Any]:
    return [*(part.fp32_precision for part in parts), cudnn.deterministic, cudnn.benchmark]


class Module(LanguageModel):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.during = settings()
        if self.global_step == 4:
            raise ValueError("a fault in a step")
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(("tf32", "expected"), [(False, "ieee"), (True, "tf32")])
def test_a_gpu_computes_as_decided_and_the_users_precision_is_restored(
    data: TextDataModule, monkeypatch: pytest.MonkeyPatch, tf32: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.backends, "fp32_precision", "tf32")
    module, before = module_of(data, Module), settings()
    run = trainer(ReproducibleSteps(tf32=tf32), max_steps=9, val_check_interval=2)
    with pytest.raises(ValueError, match="a fault in a step"):
        run.fit(module, data)
    assert module.during == [expected, expected, True, False]
    assert len(make_torch_model(module.to_model().trained).generate(20)) == 20
    assert settings() == before
