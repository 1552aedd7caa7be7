"""The options of `charrnn train`, and the rules between them.

A node of the config has a ``_target_`` and its arguments, from which Hydra's `instantiate` builds
an object. A dataclass declares the options of the nodes data, model and trainer, because a run
reads them; those of other nodes belong to their classes.

A value that is None is open. `charrnn.decide` writes a value in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from charrnn.options.cells import NetworkOptions
from charrnn.options.datasets import DataOptions
from charrnn.options.ranges import (
    LONGEST_CONTEXT,
    NODE,
    NODES,
    PATH,
    SEED,
    TEXT,
    Range,
    interval,
    one_of,
    require,
)


def parse_duration(duration: str) -> float:
    """Return the seconds of a duration such as 90s, 10m or 2h."""
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


# what charrnn logs at each validation, and a sweep minimizes
BEST_LOSS, BEST_LOSS_AS_WRITTEN = "val/best_loss", "val/best_loss_as_written"
DURATION = Range(
    lambda value: 0 < parse_duration(value) < 1e9, "must be a time with its unit: 90s, 10m or 2h"
)
DEVICES = Range(
    lambda value: value == "auto" or (len(value) if isinstance(value, list) else value) >= 1,
    "must be auto, a number of devices or a list of their indices",
)
LIMIT = Range(lambda value: value == -1 or value >= 1, "must be 1 or more, or -1 for no limit")
INTERVAL = Range(
    lambda value: isinstance(value, str) or value > 0,
    "must be above 0; validate_every=0 turns validation off",
)
BETAS = Range(
    lambda value: len(value) == 2 and all(map(interval(ge=0, lt=1).accepts, value)),
    "must be two numbers, each at least 0 and below 1: [0.9,0.999]",
)
# Lightning's names of the precisions, and its short forms
PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
PRECISION = one_of(*PRECISIONS.values(), *PRECISIONS)
UNLIMITED = {"max_epochs": (None, -1), "max_steps": (-1,)}


@dataclass(frozen=True)
class PartOptions:
    """Each option by its name, which means the same in every part that has it."""

    # Muon, and those that torch's optimizers have too
    lr: Annotated[float, interval(gt=0)]
    momentum: Annotated[float, interval(ge=0, lt=1)]
    weight_decay: Annotated[float, interval(ge=0)]
    betas: Annotated[list[float], BETAS]
    eps: Annotated[float, interval(gt=0)]
    iterations: Annotated[int, interval(ge=1)]
    # schedules
    warmup_steps: Annotated[int, interval(ge=0)]
    final_factor: Annotated[float, interval(ge=0, le=1)]
    decay_every: Annotated[int, interval(ge=1)]
    decay_factor: Annotated[float, interval(gt=0, le=1)]
    # CharacterCounts
    context: Annotated[int, interval(ge=1, le=LONGEST_CONTEXT)]
    characters: Annotated[int, interval(ge=0)]
    words: Annotated[int, interval(ge=0, le=64)]
    # Samples
    length: Annotated[int, interval(ge=0)]
    # RunCheckpoints
    every: Annotated[int | None, interval(ge=1)]
    keep_every: Annotated[int | None, interval(ge=1)]
    # ReproducibleSteps
    threads: Annotated[int | None, interval(ge=1)]
    tf32: bool | None


@dataclass(frozen=True)
class ModelOptions(NetworkOptions):
    """The options of the Lightning module."""

    num_batch_shards: Annotated[int | None, interval(ge=1)] = None
    optimizer: Any = None  # the node `optimizer`
    schedule: Any = None  # the node `schedule`


@dataclass(frozen=True)
class TrainerOptions:
    """The arguments of Lightning's Trainer in conf/; ``+trainer.NAME=`` adds others."""

    accelerator: Annotated[str | None, one_of("auto", "cpu", "gpu", "mps")]
    devices: Annotated[int | str | list[int], DEVICES]
    num_nodes: Annotated[int, interval(ge=1)]
    strategy: Annotated[str, one_of("auto", "ddp")]
    precision: Annotated[str | None, PRECISION]
    max_epochs: Annotated[int | None, LIMIT]
    max_steps: Annotated[int, LIMIT]
    gradient_clip_val: Annotated[float | None, interval(gt=0)]
    gradient_clip_algorithm: Annotated[str, one_of("value", "norm")]
    accumulate_grad_batches: Annotated[int, interval(ge=1)]
    val_check_interval: Annotated[int | float | str | None, INTERVAL]
    check_val_every_n_epoch: Annotated[int | None, interval(ge=1)]
    limit_val_batches: Annotated[int | float | None, interval(ge=0)]
    log_every_n_steps: Annotated[int, interval(ge=0)]
    num_sanity_val_steps: int
    enable_progress_bar: bool
    enable_model_summary: bool
    use_distributed_sampler: bool
    default_root_dir: str | None
    plugins: Any


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of `charrnn train`, in the order in which they are checked. Nodes are dicts."""

    optimized_metric: Annotated[str | None, TEXT]
    checkpoint_every: Annotated[int | None, interval(ge=1)]
    validate_every: Annotated[int | None, interval(ge=0)]
    print_every: Annotated[int, interval(ge=1)]
    threads: Annotated[int | None, interval(ge=1, le=512)]  # torch crashes with far more
    tf32: bool | None
    budget: Annotated[str | None, DURATION]
    seed: Annotated[int | None, SEED]
    resume: Annotated[str | None, PATH]
    init_from: Annotated[str | None, PATH]
    tags: Annotated[list[str] | None, TEXT]
    vars: Any
    # Nodes are last: they refer to the options above, and some import their classes.
    data: Annotated[dict[str, Any], NODE, DataOptions]
    model: Annotated[dict[str, Any], NODE, ModelOptions]
    trainer: Annotated[dict[str, Any], NODE, TrainerOptions]
    schedule: Annotated[dict[str, Any], NODE]
    callbacks: Annotated[dict[str, Any], NODES] = field(default_factory=dict)
    optimizer: Annotated[dict[str, Any], NODE]
    logger: Annotated[dict[str, Any], NODES] = field(default_factory=dict)

    def check(self) -> None:
        for name in ("callbacks", "logger"):
            why = f"{name}=NAME chooses them; +{name}.NAME._target_=CLASS adds one"
            require(name not in self.trainer, f"trainer.{name}", self.trainer.get(name), why)
        # The record of a resume has both the budget and the length that it chose. With `auto`, the
        # options are still those of the command, which gives only one of them.
        if self.budget and self.resume in (None, "auto"):
            why = f"budget={self.budget} chooses the length; give only one of them"
            for name, unset in UNLIMITED.items():
                length = self.trainer.get(name)
                require(length in unset, f"trainer.{name}", length, why)


def has_length(trainer: Mapping[str, Any]) -> bool:
    """Return whether an option of the trainer sets the length of the training."""
    return any(trainer[name] not in unset for name, unset in UNLIMITED.items())


def count_devices(devices: Any) -> int:
    """Return the number of devices of a value of `trainer.devices`; 1 for auto."""
    if devices == "auto":
        return 1
    return devices if isinstance(devices, int) else len(devices)


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return the options of nested values by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        is_node = isinstance(value, dict) and value
        flat |= flatten(value, f"{prefix}{name}.") if is_node else {f"{prefix}{name}": value}
    return flat
