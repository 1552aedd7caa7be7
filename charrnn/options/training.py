"""The options of `charrnn train`.

A node of the config has a ``_target_`` and its arguments, from which Hydra's `instantiate` builds
an object. The nodes data, model and trainer are typed, because a run reads their options. The
parameters of a target declare the options of the other nodes.

`TrainOptions` holds the values of the user; None and auto are open. `charrnn.runs.decisions`
decides the open values once, and a run trains with the resulting `DecidedOptions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from charrnn.options.cells import NetworkOptions
from charrnn.options.datasets import DataOptions
from charrnn.options.ranges import (
    AT_LEAST_1,
    DURATION,
    FIXED,
    NODE,
    NODES,
    NOT_NEGATIVE,
    PATH,
    POSITIVE,
    SEED,
    TEXT,
    Range,
    between,
    one_of,
    require,
)


def _are_devices(devices: Any) -> bool:
    """Return whether `devices` is auto, a number of devices, or a list of different indices."""
    if isinstance(devices, list):
        return all(d >= 0 for d in devices) and 0 < len(devices) == len(set(devices))
    return devices == "auto" or (isinstance(devices, int) and devices >= 1)


DEVICES = Range(_are_devices, "must be auto, a number of devices or a list of their indices")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the config. `rest` has the keys that no option declares, such as ``_target_``."""

    RESERVED: ClassVar[Mapping[str, str]] = {}  # keys that `rest` must not have, and the reason
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False, metadata={"is_option": False})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for `instantiate` and for the run's record."""
        return {**self.rest, **{n: value for n, value in vars(self).items() if n != "rest"}}


@dataclass(frozen=True)
class DataNode(Node, DataOptions):
    """The data module."""


@dataclass(frozen=True)
class ModelNode(Node, NetworkOptions):
    """The Lightning module and its network."""


@dataclass(frozen=True)
class TrainerNode(Node):
    """Lightning's Trainer."""

    # arguments of lightning.Trainer that an option of charrnn replaces
    RESERVED: ClassVar[Mapping[str, str]] = {
        "callbacks": "callbacks=NAME chooses them; +callbacks.NAME._target_=CLASS adds one",
        "logger": "logger=NAME chooses it; +logger.NAME._target_=CLASS adds one",
        "log_every_n_steps": "print_every= sets it",
        "val_check_interval": "validate_every= sets the interval",
        "check_val_every_n_epoch": "validate_every= sets the interval",
        "default_root_dir": "hydra.run.dir= is the run's folder",
        "enable_checkpointing": "a run needs checkpoints; checkpoint_every= sets the interval",
        "plugins": "charrnn needs its plugin, which writes checkpoints atomically",
        "enable_progress_bar": "callbacks.progress.bar= turns it on or off",
        "num_sanity_val_steps": "an exact resume allows validation only at its steps",
        "reload_dataloaders_every_n_epochs": "the loader keeps the position in the text",
        "barebones": "it turns off all features of a run; debug=fast is a quick test",
    }

    accelerator: Annotated[str, one_of("auto", "cpu", "gpu", "mps")]
    devices: Annotated[int | str | list[int], DEVICES]
    num_nodes: Annotated[int, AT_LEAST_1]
    strategy: Annotated[str, one_of("auto", "ddp")]
    precision: Annotated[str, one_of("auto", "32-true", "tf32-true", "bf16-mixed", "16-mixed")]
    threads: Annotated[int | None, between(1, 512)]  # torch crashes with far more
    max_epochs: Annotated[int | None, AT_LEAST_1]
    max_steps: Annotated[int | None, AT_LEAST_1]
    gradient_clip_val: Annotated[
        float | None, Range(POSITIVE.accepts, "must be above 0; null turns clipping off")
    ]
    gradient_clip_algorithm: Annotated[str, one_of("value", "norm")]

    @property
    def windows_per_step(self) -> int:
        """The number of windows whose gradients are accumulated."""
        return int(self.rest.get("accumulate_grad_batches", 1))

    @property
    def has_length(self) -> bool:
        """Whether an option sets the length of the training."""
        return self.max_epochs is not None or self.max_steps is not None


@dataclass(frozen=True)
class TrainOptions:
    """The options of `charrnn train` as the user gives them."""

    data: Annotated[DataNode, NODE]
    model: Annotated[ModelNode, NODE]
    optimizer: Annotated[dict[str, Any], NODE]
    schedule: Annotated[dict[str, Any], NODE]
    trainer: Annotated[TrainerNode, NODE]
    callbacks: Annotated[dict[str, Any], NODES]
    logger: Annotated[dict[str, Any], NODES]
    checkpoint_every: Annotated[int | None, AT_LEAST_1]
    validate_every: Annotated[
        int | None, Range(NOT_NEGATIVE.accepts, "must be 1 or more, or 0 for never")
    ]
    print_every: Annotated[int, AT_LEAST_1]
    budget: Annotated[str | None, DURATION, FIXED]
    seed: Annotated[int | None, SEED, FIXED]
    resume: Annotated[str | None, PATH]
    trust: bool
    init_from: Annotated[str | None, PATH, FIXED]
    tags: Annotated[list[str] | None, TEXT]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the run's record."""
        return {n: v.to_dict() if isinstance(v, Node) else v for n, v in vars(self).items()}

    def check(self) -> None:
        is_new = self.resume in (None, "auto")
        why = "resume= restores everything, init_from= only the weights; leave one out"
        require(is_new or self.init_from is None, "init_from", self.init_from, why)
        why = "a resume keeps the size that the first budget chose; leave one out"
        require(is_new or self.budget is None, "budget", self.budget, why)
        why = f"budget={self.budget} chooses the length; give only one of them"
        for name in ("max_epochs", "max_steps"):
            length = getattr(self.trainer, name)
            require(self.budget is None or length is None, f"trainer.{name}", length, why)
        windows = self.trainer.rest.get("accumulate_grad_batches", 1)
        is_count = type(windows) is int and windows >= 1
        require(is_count, "trainer.accumulate_grad_batches", windows, AT_LEAST_1.requirement)


@dataclass(frozen=True)
class DecidedData(DataNode):
    """The data module with a decided batch size."""

    batch_size: int = field(kw_only=True)


@dataclass(frozen=True)
class DecidedModel(ModelNode):
    """The Lightning module with a decided size of its network."""

    hidden_size: int = field(kw_only=True)
    dropout: float = field(kw_only=True)


@dataclass(frozen=True)
class DecidedTrainer(TrainerNode):
    """Lightning's Trainer with decided devices, precision and threads."""

    devices: int | list[int]
    threads: int

    @property
    def num_processes(self) -> int:
        """The number of processes on all machines."""
        return int(count_devices(self.devices)) * self.num_nodes


@dataclass(frozen=True)
class DecidedOptions(TrainOptions):
    """The decided options of a run, which its record contains."""

    data: DecidedData
    model: DecidedModel
    trainer: DecidedTrainer
    checkpoint_every: int
    seed: int

    @property
    def validation_interval(self) -> int:
        """The number of steps between validations; 0 for no validation."""
        return self.checkpoint_every if self.validate_every is None else self.validate_every


def count_devices(devices: Any) -> Any:
    """Return the number of devices of a value of `trainer.devices`."""
    return len(devices) if isinstance(devices, list) else devices
