"""The options of `charrnn train`, and the rules between them.

A node of the config has a ``_target_`` and its arguments, from which Hydra's `instantiate` builds
an object. A schema declares the options of the nodes data, model and trainer, because a run reads
them. The parameters of a target declare the options of every other node.

A value that is None is open. `charrnn.decide` writes a value in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from charrnn.errors import find_closest
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
    Node,
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
LIMIT = Range(lambda value: value == -1 or value >= 1, "must be 1 or more, or -1 for no limit")
INTERVAL = Range(
    lambda value: isinstance(value, str) or value >= 0,
    "takes a number of windows, a share of an epoch, or a time: 00:00:10:00",
)
# Lightning's names of the precisions, and its short forms
PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
PRECISION = one_of(*PRECISIONS.values(), *PRECISIONS)

# Options and values of which a user may think, and what to write instead of them.
INSTEAD = {
    "trainer.threads": "write threads=",
    "trainer.callbacks": "callbacks=NAME chooses them; +callbacks.NAME._target_=CLASS adds one",
    "trainer.logger": "logger=NAME chooses it; +logger.NAME._target_=CLASS adds one",
    "trainer.default_root_dir": "write hydra.run.dir=, which is the run's folder",
    "trainer.max_steps=null": "write trainer.max_steps=-1",
    "trainer.precision=tf32-true": "write trainer.precision=32-true tf32=true",
    "ckpt_path": "write resume=RUN, which takes a run's folder or a .ckpt",
    "checkpoint": "write resume=RUN to continue a run, or init_from=RUN to start from its weights",
    "data.corpus": "write data.input_txt=, which also takes the name of a corpus",
    "data.validation": "leave it out: the data module chooses what its module needs",
    "model.optimizer": "write optimizer.NAME=",
    "model.schedule": "write schedule.NAME=",
    "hydra.output_subdir": "leave it out; a run's record is in .hydra/, where a resume reads it",
}
# two ways to write it
SAME = {
    "trainer.precision=auto": "trainer.precision=null",
    "callbacks=null": "~callbacks",
    "logger=null": "~logger",
}


@dataclass(frozen=True)
class ModelOptions(NetworkOptions):
    """The options of the Lightning module."""

    num_batch_shards: Annotated[int | None, AT_LEAST_1] = None
    optimizer: Any = None  # the node `optimizer`
    schedule: Any = None  # the node `schedule`


@dataclass(frozen=True)
class TrainerOptions:
    """The arguments of Lightning's Trainer in conf/; ``+trainer.NAME=`` adds others."""

    PREFIX: ClassVar[str] = "trainer."

    accelerator: Annotated[str | None, one_of("auto", "cpu", "gpu", "mps")]
    devices: Annotated[int | str | list[int], DEVICES]
    num_nodes: Annotated[int, AT_LEAST_1]
    strategy: Annotated[str, one_of("auto", "ddp")]
    precision: Annotated[str | None, PRECISION]
    max_epochs: Annotated[int | None, LIMIT]
    max_steps: Annotated[int, LIMIT]
    gradient_clip_val: Annotated[
        float | None, Range(POSITIVE.accepts, "must be above 0; null turns clipping off")
    ]
    gradient_clip_algorithm: Annotated[str, one_of("value", "norm")]
    accumulate_grad_batches: Annotated[int, AT_LEAST_1]
    val_check_interval: Annotated[int | float | str | None, INTERVAL]
    check_val_every_n_epoch: Annotated[int | None, AT_LEAST_1]
    limit_val_batches: Annotated[int | float | None, NOT_NEGATIVE]
    log_every_n_steps: Annotated[int, NOT_NEGATIVE]
    num_sanity_val_steps: int
    enable_progress_bar: bool | None
    enable_model_summary: bool
    use_distributed_sampler: bool
    default_root_dir: str | None
    plugins: Any


@dataclass(frozen=True)
class TrainOptions:
    """The options of `charrnn train`. Nodes are plain dicts."""

    data: Annotated[dict[str, Any], Node(DataOptions)]
    model: Annotated[dict[str, Any], Node(ModelOptions)]
    optimizer: Annotated[dict[str, Any], NODE]
    schedule: Annotated[dict[str, Any], NODE]
    trainer: Annotated[dict[str, Any], Node(TrainerOptions)]
    callbacks: Annotated[dict[str, Any], NODES]
    logger: Annotated[dict[str, Any], NODES]
    checkpoint_every: Annotated[int | None, AT_LEAST_1]
    validate_every: Annotated[
        int | None, Range(NOT_NEGATIVE.accepts, "must be 1 or more, or 0 for never")
    ]
    print_every: Annotated[int, AT_LEAST_1]
    threads: Annotated[int | None, between(1, 512)]  # torch crashes with far more
    tf32: bool | None
    budget: Annotated[str | None, DURATION, FIXED]
    seed: Annotated[int | None, SEED, FIXED]
    resume: Annotated[str | None, PATH]
    init_from: Annotated[str | None, PATH, FIXED]
    optimized_metric: Annotated[str | None, TEXT]
    tags: Annotated[list[str] | None, TEXT]
    vars: Any

    @staticmethod
    def check_first(values: Mapping[str, Any]) -> None:
        """Raise InputError for an `optimized_metric` that nothing can log."""
        metric = values.get("optimized_metric")
        if metric is not None and metric not in (*METRICS, *TRAINING_METRICS):
            closest = find_closest(str(metric), METRICS, 0.8)
            hint = f"did you mean {closest}?" if closest else f"there are {', '.join(METRICS)}"
            # A metric of the user's code is checked at the first validation.
            callbacks = values.get("callbacks")
            nodes = [values.get(name) for name in ("data", "model", "trainer")]
            nodes += callbacks.values() if isinstance(callbacks, dict) else []
            targets = [str(node.get("_target_")) for node in nodes if isinstance(node, dict)]
            ours = ("charrnn.", "lightning.Trainer")
            may_exist = not all(target.startswith(ours) for target in targets)
            why = f"no such metric; {hint}"
            require(may_exist and closest is None, "optimized_metric", metric, why)

    def check(self) -> None:
        for name in ("optimizer", "schedule"):
            is_partial = getattr(self, name).get("_partial_")
            why = "must be true, because training adds arguments"
            require(is_partial is True, f"{name}._partial_", is_partial, why)
        interval, limit = (self.trainer[n] for n in ("val_check_interval", "limit_val_batches"))
        why = "must be above 0; validate_every=0 turns validation off"
        require(interval != 0 or self.validate_every == 0, "trainer.val_check_interval", 0, why)
        why = "validate_every=0 turns validation off; leave one out"
        is_off = self.validate_every == 0
        require(not is_off or limit in (None, 0), "trainer.limit_val_batches", limit, why)
        # The record of a resume has both the budget and the length that it chose. With `auto`, the
        # options are still those of the command, which gives only one of them.
        is_new = self.resume in (None, "auto")
        why = f"budget={self.budget} chooses the length; give only one of them"
        for name, unset in UNLIMITED.items():
            length = self.trainer[name]
            require(not (is_new and self.budget) or length in unset, f"trainer.{name}", length, why)


# what charrnn logs at each validation
BEST_LOSS, BEST_LOSS_AS_WRITTEN = "val/best_loss", "val/best_loss_as_written"
METRICS = (
    *("val/loss", "val/bits_per_character", "val/loss_as_written"),
    *(BEST_LOSS, BEST_LOSS_AS_WRITTEN),
)
TRAINING_METRICS = ("train/loss", "lr", "characters_per_second")  # logged at steps
UNLIMITED = {"max_epochs": (None, -1), "max_steps": (-1,)}


def has_length(trainer: Mapping[str, Any]) -> bool:
    """Return whether an option of the trainer sets the length of the training."""
    return any(trainer[name] not in unset for name, unset in UNLIMITED.items())


def count_devices(devices: Any) -> int:
    """Return the number of devices of a value of `trainer.devices`; 1 for auto."""
    return len(devices) if isinstance(devices, list) else 1 if devices == "auto" else int(devices)


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return the options of nested values by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        is_node = isinstance(value, dict) and value
        flat |= flatten(value, f"{prefix}{name}.") if is_node else {f"{prefix}{name}": value}
    return flat
