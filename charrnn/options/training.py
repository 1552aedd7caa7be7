"""What is trained, on what and how: the config of `charrnn train`.

A node is what Hydra's `instantiate` builds of a ``_target_`` and its arguments. Those of data,
model and trainer have options that a run reads too, so they are typed; an argument that only
somebody's own class knows stays as the config has it. What stands in the other nodes is declared
by what is built, and read by nobody else.

`TrainOptions` holds the values that a user gives. Some may be open: None, or auto. A run decides
these once (`charrnn.runs.decisions`), and trains by `DecidedOptions`, in which no value is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from charrnn.options.datasets import DataOptions
from charrnn.options.networks import NetworkOptions
from charrnn.options.ranges import (
    AT_LEAST_1,
    DEVICES,
    DURATION,
    FIXED,
    NODE,
    NODES,
    NOT_NEGATIVE,
    PATH,
    POSITIVE,
    SEED,
    TEXT,
    THREADS,
    Range,
    one_of,
    parse_duration,
    require,
)

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class TrainerOptions:
    # arguments of lightning.Trainer that are not the command line's to give
    RESERVED: ClassVar = {
        "callbacks": "callbacks=NAME chooses them, +callbacks.NAME._target_=CLASS adds one",
        "logger": "logger=NAME chooses it, +logger.NAME._target_=CLASS adds one",
        "log_every_n_steps": "print_every= is this number",
        "val_check_interval": "validate_every= says how often",
        "check_val_every_n_epoch": "validate_every= says how often",
        "default_root_dir": "hydra.run.dir= is the run's folder",
        "enable_checkpointing": "a run keeps its checkpoints; checkpoint_every= says how often",
        "plugins": "charrnn brings the one that writes whole checkpoints",
        "enable_progress_bar": "callbacks.progress.bar= turns it on and off",
        "num_sanity_val_steps": "validation comes at its steps only, so that a resume is exact",
        "reload_dataloaders_every_n_epochs": "one loader keeps the position in the text",
        "barebones": "it turns off all that makes a run; debug=fast is a quick trial",
    }

    accelerator: Annotated[str, one_of("auto", "cpu", "gpu", "mps")]
    devices: Annotated[int | str | list[int], DEVICES]
    num_nodes: Annotated[int, AT_LEAST_1]
    strategy: Annotated[str, one_of("auto", "ddp")]
    precision: Annotated[str, one_of("auto", "32-true", "tf32-true", "bf16-mixed", "16-mixed")]
    threads: Annotated[int | None, THREADS]
    max_epochs: Annotated[int | None, AT_LEAST_1]
    max_steps: Annotated[int | None, AT_LEAST_1]
    gradient_clip_val: Annotated[
        float | None, Range(POSITIVE.accepts, "must be above 0; null turns clipping off")
    ]
    gradient_clip_algorithm: Annotated[str, one_of("value", "norm")]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the config whose options are typed.

    Attributes:
        rest: ``_target_`` and what else Hydra reads itself, and arguments that no option declares.
    """

    rest: Mapping[str, Any] = field(default_factory=dict, hash=False, metadata={"is_option": False})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """A node of plain values."""
        names = {option.name for option in fields(cls)}
        rest = {name: value for name, value in values.items() if name not in names}
        return cls(**{name: value for name, value in values.items() if name in names}, rest=rest)

    def plain(self) -> dict[str, Any]:
        """The node as `instantiate` takes it, and as it is recorded."""
        words = {name: value for name, value in self.rest.items() if name[:1] == "_"}
        options = {option.name: getattr(self, option.name) for option in fields(self)}
        del options["rest"]
        return {**words, **options, **self.rest}


@dataclass(frozen=True)
class DataNode(Node, DataOptions):
    """A text as it is trained on."""


@dataclass(frozen=True)
class ModelNode(Node, NetworkOptions):
    """The module, with the network that it trains."""


@dataclass(frozen=True)
class TrainerNode(Node, TrainerOptions):
    """Lightning's Trainer."""

    @property
    def windows_a_step(self) -> int:
        """Windows whose gradients are added up."""
        return int(self.rest.get("accumulate_grad_batches", 1))

    @property
    def has_length(self) -> bool:
        """Whether an option says how long the training is."""
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

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrainOptions:
        """The options of plain values, which are those of a checked config."""
        data, model = DataNode.of(values["data"]), ModelNode.of(values["model"])
        trainer = TrainerNode.of(values["trainer"])
        return cls(**{**values, "data": data, "model": model, "trainer": trainer})

    def plain(self) -> dict[str, Any]:
        """The config as it is recorded: plain values."""
        return {n: v.plain() if isinstance(v, Node) else v for n, v in vars(self).items()}

    @property
    def budget_seconds(self) -> float | None:
        """The time that the training may take; None without a budget."""
        return None if self.budget is None else parse_duration(self.budget)

    def check(self) -> None:
        for name, why in (
            ("init_from", "resume= goes on with everything, init_from= starts anew from weights"),
            ("budget", "a resume goes on with what was chosen when the run was begun"),
        ):
            is_new = self.resume in (None, "auto")
            value = getattr(self, name)
            require(is_new or value is None, name, value, f"{why}; leave one out")
        for name in ("max_epochs", "max_steps"):
            length = getattr(self.trainer, name)
            why = f"budget={self.budget} chooses how long; give one of them"
            require(self.budget is None or length is None, f"trainer.{name}", length, why)
        windows = self.trainer.rest.get("accumulate_grad_batches", 1)
        is_count = type(windows) is int and windows >= 1
        require(is_count, "trainer.accumulate_grad_batches", windows, AT_LEAST_1.requirement)


@dataclass(frozen=True)
class DecidedData(DataNode):
    """A text and the number of its streams."""

    batch_size: int = field(kw_only=True)


@dataclass(frozen=True)
class DecidedModel(ModelNode):
    """The module and the size of its network."""

    hidden_size: int = field(kw_only=True)
    dropout: float = field(kw_only=True)


@dataclass(frozen=True)
class DecidedTrainer(TrainerNode):
    """Lightning's Trainer with its devices, precision and threads; no value is "auto"."""

    devices: int | list[int]
    threads: int

    @property
    def num_processes(self) -> int:
        """Processes that train together, on all machines."""
        return int(count_of(self.devices)) * self.num_nodes


@dataclass(frozen=True)
class DecidedOptions(TrainOptions):
    """The options of a run, every one of them decided; the run records them."""

    data: DecidedData
    model: DecidedModel
    trainer: DecidedTrainer
    checkpoint_every: int
    seed: int

    @property
    def validation_interval(self) -> int:
        """Steps from one validation to the next; 0: none."""
        return self.checkpoint_every if self.validate_every is None else self.validate_every


def count_of(devices: Any) -> Any:
    """How many devices a value of `trainer.devices` stands for: a number, or a list of them."""
    return len(devices) if isinstance(devices, list) else devices
