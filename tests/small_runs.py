"""The options of a run that takes a moment, what it leaves behind, and what tells two apart."""

from __future__ import annotations

import copy
import csv
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.models import checkpoint
from charrnn.networks.precision import can_train_in_bf16
from charrnn.runs import decisions
from charrnn.runs.ranks import World

ONE_PROCESS = World()
SMALL = (
    "trainer=cpu",
    "threads=1",
    "trainer.precision=32-true",
    "trainer.max_epochs=50",
    "optimizer=adam",
    "schedule=step",
    "model.dropout=0.0",
    "data.shuffle=false",
    "model.hidden_size=16",
    "model.embedding_size=8",
    "data.batch_size=4",
    "data.seq_length=10",
    "data.input_txt=corpus.txt",
    "checkpoint_every=7",
    "print_every=5",
    "callbacks.samples.length=20",
)


def skip_without_bf16(precision: str, kind: str = "lstm") -> None:
    """Skip a test of bf16 where the CPU cannot run such a layer in it."""
    if precision == "bf16-mixed" and not can_train_in_bf16(kind, "cpu"):
        pytest.skip(f"this CPU cannot train a {kind} in bf16")


@functools.cache
def _defaults() -> Any:
    with hydra.initialize_config_dir(str(plugins.CONF), version_base="1.3"):
        return hydra.compose("train")


def train_config(**changes: Any) -> DictConfig:
    """Return the composed config of `charrnn train`, with changes such as data__batch_size=50."""
    config: DictConfig = copy.deepcopy(_defaults())
    for name, value in changes.items():
        OmegaConf.update(config, name.replace("__", "."), value, force_add=True)
    return config


def decide_config(world: World = ONE_PROCESS, **changes: Any) -> DictConfig:
    """Return the config of a run on a text of a million characters, decided on this machine."""
    size = decisions.TextSize(1_000_000, 100_000)
    config = train_config(**changes)
    return decisions.decide_sizes(config, size, world, lambda options: 1e4)


Train = Callable[..., Path]  # the fixture `train`
Capture = pytest.CaptureFixture[str]


def tensors(path: Path, name: str = "last.ckpt") -> dict[str, Any]:
    """Return weights, optimizer, hidden state and random numbers of a checkpoint, or of a run's."""
    content = checkpoint.read(path if path.is_file() else path / "checkpoints" / name)
    ours = content[checkpoint.ENTRY]
    return {
        "weights": content["state_dict"],
        "optimizer": content["optimizer_states"],
        "ranks": ours["ranks"],
        "best": (ours["best_loss"], ours["best_step"]),
        "step": content["global_step"],
    }


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Check that nested values are equal to the bit."""
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}/{i}")
    else:
        assert one == other, where


def metrics(run: Path) -> list[dict[str, str]]:
    """Read the rows of metrics.csv, except the speed."""
    with open(run / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["characters_per_second"]
    return rows


def column(run: Path, name: str) -> dict[int, float]:
    """Read a column of metrics.csv, by steps."""
    return {int(row["step"]): float(row[name]) for row in metrics(run) if row[name]}


def read_record(run: Path) -> dict[str, Any]:
    """Read the options that a run's folder records."""
    config: dict[str, Any] = yaml.safe_load((run / ".hydra" / "config.yaml").read_text("utf-8"))
    return config
