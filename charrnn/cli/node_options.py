"""The options of what training builds: of each ``_target_`` that conf/ has.

A dataclass that is OPEN stands for something foreign: it declares the options that conf/
sets, and the other arguments of what it names can be given too. NEEDS names a package
that has to be installed, EXTRA the extra that brings it, if that has another name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from charrnn import plugins
from charrnn.options.datasets import DataOptions
from charrnn.options.networks import NetworkOptions
from charrnn.options.ranges import (
    AT_LEAST_1,
    BELOW_1,
    BETAS,
    CONTEXT,
    NOT_EMPTY,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    TEXT,
    UNIT,
)
from charrnn.options.training import TrainerOptions


@dataclass
class OptimizerOptions:
    """The options that conf/ sets for one of torch's optimizers."""

    OPEN: ClassVar = True

    lr: Annotated[float, POSITIVE]
    weight_decay: Annotated[float, NOT_NEGATIVE]


@dataclass
class AdamOptions(OptimizerOptions):
    betas: Annotated[list[float], BETAS]
    eps: Annotated[float, POSITIVE]


@dataclass
class MuonOptions(AdamOptions):
    momentum: Annotated[float, BELOW_1]
    iterations: Annotated[int, AT_LEAST_1]


@dataclass
class RMSpropOptions(OptimizerOptions):
    alpha: Annotated[float, BELOW_1]
    eps: Annotated[float, POSITIVE]
    foreach: bool | None


@dataclass
class SGDOptions(OptimizerOptions):
    momentum: Annotated[float, BELOW_1]


@dataclass
class ConstantOptions:
    warmup_steps: Annotated[int, NOT_NEGATIVE]


@dataclass
class StepOptions(ConstantOptions):
    decay_every: Annotated[int, AT_LEAST_1]
    decay_factor: Annotated[float, SHARE]


@dataclass
class FallingOptions(ConstantOptions):
    final_factor: Annotated[float, UNIT]


@dataclass
class ProgressOptions:
    bar: bool


@dataclass
class SamplesOptions:
    length: Annotated[int, NOT_NEGATIVE]
    temperature: Annotated[float, NOT_NEGATIVE]


@dataclass
class CharacterCountsOptions:
    context: Annotated[int, CONTEXT]
    characters: Annotated[int, NOT_NEGATIVE]


@dataclass
class RunCheckpointsOptions:
    keep_every: Annotated[int | None, AT_LEAST_1]


@dataclass
class EarlyStoppingOptions:
    monitor: Annotated[str, TEXT, NOT_EMPTY]
    patience: Annotated[int, AT_LEAST_1]
    min_delta: Annotated[float, NOT_NEGATIVE]


@dataclass
class OverfittingStopOptions:
    margin: Annotated[float | None, POSITIVE]
    patience: Annotated[int, AT_LEAST_1]


@dataclass
class AveragingOptions:
    OPEN: ClassVar = True

    decay: Annotated[float, BELOW_1]
    update_every_n_steps: Annotated[int, AT_LEAST_1]
    update_starting_at_step: Annotated[int | None, NOT_NEGATIVE]


@dataclass
class MetricsCSVOptions:
    """metrics.csv stands where every run has it."""


@dataclass
class TensorBoardOptions:
    OPEN: ClassVar = True

    name: Annotated[str, TEXT]
    version: Annotated[str, TEXT]
    default_hp_metric: bool


@dataclass
class WandbOptions:
    OPEN: ClassVar = True
    NEEDS: ClassVar = "wandb"

    project: Annotated[str, TEXT, NOT_EMPTY]
    name: Annotated[str | None, TEXT]
    offline: bool


@dataclass
class MLFlowOptions:
    OPEN: ClassVar = True
    NEEDS: ClassVar = "mlflow"

    experiment_name: Annotated[str, TEXT, NOT_EMPTY]
    run_name: Annotated[str | None, TEXT]
    tracking_uri: Annotated[str | None, TEXT, NOT_EMPTY]


# what stands in these is read elsewhere too: all their options must be there, and a target of
# somebody's own takes them
OF_GROUP: dict[str, type] = {
    "data": DataOptions,
    "model": NetworkOptions,
    "trainer": TrainerOptions,
}

TARGETS: dict[str, type] = {
    "charrnn.TextDataModule": DataOptions,
    "charrnn.LanguageModel": NetworkOptions,
    "torch.optim.Adam": AdamOptions,
    "torch.optim.AdamW": AdamOptions,
    "charrnn.training.Muon": MuonOptions,
    "torch.optim.RMSprop": RMSpropOptions,
    "torch.optim.SGD": SGDOptions,
    "charrnn.training.schedules.step": StepOptions,
    "charrnn.training.schedules.cosine": FallingOptions,
    "charrnn.training.schedules.linear": FallingOptions,
    "charrnn.training.schedules.constant": ConstantOptions,
    "lightning.Trainer": TrainerOptions,
    "charrnn.training.Progress": ProgressOptions,
    "charrnn.training.Samples": SamplesOptions,
    "charrnn.training.CharacterCounts": CharacterCountsOptions,
    "charrnn.training.RunCheckpoints": RunCheckpointsOptions,
    "charrnn.training.EarlyStopping": EarlyStoppingOptions,
    "charrnn.training.OverfittingStop": OverfittingStopOptions,
    "lightning.pytorch.callbacks.EMAWeightAveraging": AveragingOptions,
    "charrnn.training.MetricsCSV": MetricsCSVOptions,
    "lightning.pytorch.loggers.TensorBoardLogger": TensorBoardOptions,
    "lightning.pytorch.loggers.WandbLogger": WandbOptions,
    "lightning.pytorch.loggers.MLFlowLogger": MLFlowOptions,
}
for part in plugins.parts("nodes"):
    TARGETS |= part.NODES
