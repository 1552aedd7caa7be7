"""Test the choices for a run, which depend only on the config and the machine."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from charrnn.errors import InputError
from charrnn.runs import hardware
from charrnn.runs.world import SINGLE_PROCESS, World
from tests.small_runs import decide_config

FOUR = World("torchrun", 0, 0, 4, 2)


def decide_run(
    batch_size: int = 50,
    model: dict[str, Any] | None = None,
    world: World = SINGLE_PROCESS,
    **trainer: Any,
) -> DictConfig:
    given = {"model__hidden_size": 128, **{f"model__{n}": v for n, v in (model or {}).items()}}
    top = {n: trainer.pop(n) for n in ("threads", "tf32") if n in trainer}
    given |= {"trainer__accelerator": "cpu", **{f"trainer__{n}": v for n, v in trainer.items()}}
    return decide_config(world, data__batch_size=batch_size, **top, **given)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate two cores with bf16, and an environment without settings."""
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(hardware, "can_train_in_bf16", lambda kind, device_type: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def chosen(batch_size: int = 50, **model: Any) -> tuple[str, int | None]:
    config = decide_run(batch_size, model)
    # a resume decides the same by what is recorded
    recorded = copy.deepcopy(config)
    hardware.decide_hardware(recorded, batch_size, SINGLE_PROCESS)
    assert recorded == config
    return recorded.trainer.precision, recorded.threads


def test_a_choice_leaves_the_settings_of_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert decide_run(accelerator="gpu").tf32
    resolved = decide_run(accelerator="gpu", precision="32-true", threads=1).trainer
    assert (resolved.devices, torch.backends.cudnn.deterministic) == (1, False)


@pytest.mark.parametrize(
    ("batch_size", "model", "expected"),
    [
        (50, {}, ("bf16-mixed", 2)),
        (5, {}, ("32-true", 1)),
        (15, {}, ("bf16-mixed", 1)),
        (5, {"hidden_size": 512}, ("32-true", 2)),
        (50, {"batchnorm": True}, ("bf16-mixed", 1)),
        (16, {"hidden_size": 32}, ("bf16-mixed", 2)),
        (10, {"kind": "gru"}, ("32-true", 1)),
        (100, {"kind": "rnn"}, ("bf16-mixed", 2)),
    ],
)
def test_small_networks_train_on_one_thread_in_float32(
    batch_size: int, model: dict[str, Any], expected: tuple[str, int]
) -> None:
    assert chosen(batch_size, **model) == expected


@pytest.mark.parametrize(
    ("streams", "model", "threads", "shares"),
    [
        (50, {}, 2, 2),
        (50, {}, 8, 6),
        (50, {"hidden_size": 512}, 2, 1),
        (50, {"batchnorm": True}, 2, 1),
    ],
)
def test_streams_are_shared_out_where_each_thread_gets_enough(
    streams: int, model: dict[str, Any], threads: int, shares: int
) -> None:
    assert decide_run(streams, model, threads=threads).model.num_batch_shards == shares


def test_a_cpu_without_bf16_or_without_it_for_an_lstm(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(hardware, "cpu_has_bf16", lambda: False)
        assert chosen() == ("32-true", 2)
    monkeypatch.setattr(hardware, "can_train_in_bf16", lambda kind, device_type: kind != "lstm")
    assert chosen() == ("32-true", 2)
    assert chosen(kind="gru")[0] == "bf16-mixed"
    with pytest.raises(InputError, match=r"^trainer.precision=bf16-mixed: this CPU cannot train"):
        decide_run(precision="bf16-mixed")


def test_many_cores_are_not_all_used_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 128)
    assert chosen()[1] == 6
    assert chosen(500)[1] == 62
    assert chosen(500, hidden_size=1024)[1] == 128


@pytest.mark.parametrize(("launcher", "threads"), [("", 3), ("srun", 6)])
def test_processes_that_charrnn_starts_divide_the_threads(
    monkeypatch: pytest.MonkeyPatch, launcher: str, threads: int
) -> None:
    """Check that each job of a launcher has its number."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    world = World(launcher, 0, 0, 2, 2) if launcher else World()
    resolved = decide_run(192, world=world, devices=2)
    assert (resolved.threads, resolved.trainer.strategy) == (threads, "ddp")


def test_a_launchers_processes_are_the_devices() -> None:
    world = World("srun", 3, 1, 4, 2)
    resolved = decide_run(48, world=world, devices="auto", num_nodes=2).trainer
    assert (resolved.devices, resolved.strategy) == (2, "ddp")
    assert hardware.count_processes(resolved) == 4


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"devices": [0, 1]}, r"^trainer.devices=\[0, 1\]: give a number of processes"),
        ({"devices": 3}, "^data.batch_size=50: cannot be split evenly over 3 processes"),
        ({"precision": "16"}, "^trainer.precision=16-mixed: needs a CUDA GPU"),
        ({"tf32": True}, "^tf32=true: needs a CUDA GPU"),
        ({"accelerator": "gpu"}, "^trainer.accelerator=gpu: this machine has no such GPU"),
        ({"accelerator": "mps"}, "^trainer.accelerator=mps: this machine has no such GPU"),
        # what a launcher started, and what only a launcher starts
        ({"num_nodes": 2}, "^trainer.num_nodes=2: .* with torchrun or srun"),
        ({"world": FOUR}, "torchrun started others; give trainer.devices=2 trainer.num_nodes=2"),
        ({"world": FOUR, "devices": 4}, "give trainer.devices=2 trainer.num_nodes=2"),
    ],
)
def test_a_device_that_this_machine_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], line: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=line):
        decide_run(**given)
