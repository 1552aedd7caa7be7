"""What is chosen for a run, and that it depends on nothing but the config and the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from charrnn.options import ModelOptions, TrainerOptions

from charrnn.errors import InputError
from charrnn.training import hardware

TRAINER = TrainerOptions("cpu", 1, 1, "auto", "auto", None, 50, None, 5.0, "value")
MODEL = ModelOptions("lstm", 64, 128, 2, 0.0, False)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores with bf16, and an environment that asks for nothing."""
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(hardware, "cpu_runs_bf16", lambda kind: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)


def chosen(batch_size: int = 50, **model: object) -> tuple[str, int | None]:
    resolved = hardware.resolve(TRAINER, replace(MODEL, **model), batch_size)  # type: ignore[arg-type]
    assert hardware.resolve(resolved, MODEL, batch_size) == resolved
    return resolved.precision, resolved.threads


def test_the_default_recipe() -> None:
    assert chosen() == ("bf16-mixed", 2)


@pytest.mark.parametrize(
    ("batch_size", "model", "expected"),
    [
        (5, {}, ("32-true", 2)),
        (1, {}, ("32-true", 1)),
        (10, {"hidden_size": 32}, ("bf16-mixed", 1)),
        (24, {"hidden_size": 32}, ("bf16-mixed", 2)),
        (50, {"kind": "gru"}, ("bf16-mixed", 2)),
        (10, {"kind": "gru"}, ("32-true", 1)),
        (10, {"kind": "gru", "hidden_size": 512}, ("bf16-mixed", 2)),
        (50, {"kind": "rnn"}, ("32-true", 2)),
        (100, {"kind": "rnn"}, ("bf16-mixed", 2)),
        (20, {"kind": "rnn"}, ("32-true", 1)),
    ],
)
def test_what_is_small_is_left_on_one_thread_in_float32(
    batch_size: int, model: dict[str, object], expected: tuple[str, int]
) -> None:
    assert chosen(batch_size, **model) == expected


@pytest.mark.parametrize(
    ("streams", "model", "threads", "shares"),
    [
        (50, {}, 2, 2),
        (50, {}, 8, 4),
        (23, {}, 2, 1),
        (50, {}, 1, 1),
        (50, {"hidden_size": 512}, 2, 1),
        (50, {"batchnorm": True}, 2, 1),
    ],
)
def test_streams_are_shared_out_where_each_thread_gets_enough(
    streams: int, model: dict[str, object], threads: int, shares: int
) -> None:
    options = replace(MODEL, **model)  # type: ignore[arg-type]
    assert hardware.chosen_shares(options, streams, threads) == shares


def test_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: False)
    assert chosen() == ("32-true", 2)


def test_a_cpu_that_cannot_run_an_lstm_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_runs_bf16", lambda kind: kind != "lstm")
    assert chosen() == ("32-true", 2)
    gru = replace(MODEL, kind="gru")
    assert hardware.resolve(TRAINER, gru, 50).precision == "bf16-mixed"
    asked = replace(TRAINER, precision="bf16-mixed")
    with pytest.raises(InputError, match=r"^trainer.precision=bf16-mixed: this CPU cannot train"):
        hardware.resolve(asked, MODEL, 50)


def test_many_cores_are_not_all_used_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 128)
    assert chosen()[1] == 4
    assert chosen(500)[1] == 41
    assert chosen(500, hidden_size=1024)[1] == 128


def test_what_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace(TRAINER, precision="32-true", threads=7)
    resolved = hardware.resolve(asked, MODEL, 50)
    assert (resolved.precision, resolved.threads) == ("32-true", 7)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert chosen(1) == ("32-true", 5)
