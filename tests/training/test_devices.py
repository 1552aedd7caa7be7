"""Test the assumptions about devices on simulated devices, and bf16 of a CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from charrnn import TextDataModule
from charrnn.errors import InputError
from charrnn.runs import hardware
from charrnn.training import restoring
from tests import REPOSITORY
from tests.small_runs import SMALL, Train, decided_config, skip_without_bf16
from tests.training.notebook import module_of, trainer


class HalfUnderAutocast(TorchFunctionMode):
    """Compute like cuDNN's layers under autocast of any type."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.__name__ in ("lstm", "gru", "rnn_tanh") and torch.is_autocast_enabled("cpu"):
            return tuple(part.half() for part in result)
        return result


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a CUDA GPU with bf16 on the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    probe = hardware.can_train_in_bf16.__wrapped__
    monkeypatch.setattr(hardware, "can_train_in_bf16", lambda kind, device_type: probe(kind, "cpu"))


def precision_of(precision: str | None, kind: str) -> tuple[str, bool]:
    """Return the precision on a GPU, and whether it uses TF32."""
    config = decided_config(
        data__batch_size=50, model__hidden_size=128, model__kind=kind,
        trainer__accelerator="gpu", trainer__precision=precision,
    )  # fmt: skip
    return config.trainer.precision, config.tf32


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_gpu_whose_bf16_is_float16_trains_in_tf32(gpu: None, kind: str) -> None:
    with HalfUnderAutocast():
        assert precision_of(None, kind) == ("32-true", True)
        assert precision_of("32-true", kind) == ("32-true", False)
        with pytest.raises(InputError, match=r"bf16-mixed: this GPU cannot train a .* float16"):
            precision_of("bf16-mixed", kind)
    if hardware.can_train_in_bf16(kind, "cpu"):
        assert precision_of(None, kind) == ("bf16-mixed", False)


class NoFloat64(TorchDispatchMode):
    """Simulate an Apple GPU, beside which single numbers may be on the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(part, torch.Tensor) and part.dtype == torch.float64 and part.dim():
                raise TypeError(f"{func}: this device has no float64")
        return result


def test_a_device_without_float64_trains_and_validates(
    data: TextDataModule, tmp_path: Path
) -> None:
    run = trainer(max_steps=6, val_check_interval=3, gradient_clip_val=1.0)
    with NoFloat64():
        run.fit(module_of(data, dropout=0.2), data)
        run.save_checkpoint(tmp_path / "x.ckpt")
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


# -- bf16 ---


def content(folder: Path) -> dict[str, bytes]:
    # the lock names the process that holds or held it
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_bf16_without_avx512(train: Train, workplace: Path) -> None:
    """Check that a CPU with only AVX2 refuses bf16 for an LSTM in one line, at a resume too."""
    skip_without_bf16("bf16-mixed")
    run = train("trainer.precision=bf16-mixed", "trainer.max_steps=5")
    before = content(run)
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "ONEDNN_MAX_CPU_ISA": "AVX2"}
    for words in (["resume=run", "trainer.max_steps=9"], [*SMALL, "trainer.precision=bf16-mixed"]):
        command = [sys.executable, "-m", "charrnn", "train", *words]
        ended = subprocess.run(command, cwd=workplace, env=env, capture_output=True, text=True)
        assert ended.returncode == 2
        assert ended.stdout == ""
        *lines, last = ended.stderr.splitlines()
        assert lines == [], ended.stderr
        assert last.startswith("charrnn train: trainer.precision=bf16-mixed: this CPU cannot")
    assert content(run) == before
    words = [*SMALL, "trainer.precision=auto", "trainer.max_steps=3", "hydra.run.dir=auto"]
    command = [sys.executable, "-m", "charrnn", "train", *words, "data.batch_size=20"]
    ended = subprocess.run(command, cwd=workplace, env=env, capture_output=True, text=True)
    assert "precision 32-true" in ended.stderr
