"""Test the choices for a run, which depend only on the config and the machine."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from charrnn.errors import InputError
from charrnn.runs import hardware
from charrnn.runs.ranks import World
from tests.small_runs import ONE_PROCESS, decide_config

FOUR = World("torchrun", 0, 0, 4, 2)
TOP = ("threads", "tf32")  # which are no options of the trainer


def decide_run(
    batch_size: int = 50, model: Any = None, world: World = ONE_PROCESS, **trainer: Any
) -> DictConfig:
    given = {"model__hidden_size": 128, "trainer__accelerator": "cpu"}
    given |= {n if n in TOP else f"trainer__{n}": value for n, value in trainer.items()}
    given |= {f"model__{name}": value for name, value in (model or {}).items()}
    return decide_config(world, data__batch_size=batch_size, **given)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate two cores with bf16, and an environment without settings."""
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(hardware, "can_train_in_bf16", lambda kind, device_type: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def chosen(batch_size: int = 50, **model: Any) -> tuple[str, int, int]:
    """Return the precision, the threads and the shards."""
    config = decide_run(batch_size, model)
    # a resume decides the same by what is recorded
    recorded = copy.deepcopy(config)
    hardware.decide_hardware(recorded, batch_size, ONE_PROCESS)
    assert recorded == config
    return recorded.trainer.precision, recorded.threads, recorded.model.num_batch_shards


@pytest.mark.parametrize(
    ("cores", "batch_size", "model", "expected"),
    [
        (2, 50, {}, ("bf16-mixed", 2, 2)),
        (2, 50, {"kind": "gru"}, ("32-true", 2, 2)),
        # each thread gets eight streams or more
        (2, 15, {}, ("bf16-mixed", 1, 1)),
        (128, 50, {}, ("bf16-mixed", 6, 6)),
        # or all of them share the products
        (128, 5, {"hidden_size": 512}, ("bf16-mixed", 128, 1)),
        (2, 50, {"batchnorm": True}, ("bf16-mixed", 1, 1)),
    ],
)
def test_the_size_of_a_network_decides_its_precision_and_threads(
    cores: int, batch_size: int, model: Any, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    assert chosen(batch_size, **model) == expected


def test_a_cpu_without_bf16_or_without_it_for_an_lstm(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(hardware, "cpu_has_bf16", lambda: False)
        assert chosen() == ("32-true", 2, 2)
    monkeypatch.setattr(hardware, "can_train_in_bf16", lambda kind, device_type: False)
    assert chosen() == ("32-true", 2, 2)
    with pytest.raises(InputError, match=r"^trainer.precision=bf16-mixed: this CPU cannot train"):
        decide_run(precision="bf16-mixed")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"devices": 3}, "^data.batch_size=50: .* cannot be split evenly over 3 processes"),
        ({"devices": 2, "model": {"batchnorm": True}}, "^model.batchnorm=true: its statistics"),
        ({"precision": "16"}, "^trainer.precision=16-mixed: needs a CUDA GPU"),
        ({"tf32": True}, "^tf32=true: needs a CUDA GPU"),
        ({"accelerator": "gpu"}, "^trainer.accelerator=gpu: this machine has no GPU"),
        ({"world": FOUR, "devices": 3}, "torchrun started 4 processes in all"),
        ({"world": FOUR, "num_nodes": 3}, "torchrun started 4 processes in all"),
    ],
)
def test_a_device_that_this_machine_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], line: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=line):
        decide_run(**given)
