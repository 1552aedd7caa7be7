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
    DEVICES,
    NOT_EMPTY,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    TEXT,
    THREADS,
    UNIT,
    Range,
    one_of,
)


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
class TrainerOptions:
    OPEN: ClassVar = True
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
    precision: Annotated[str, one_of("auto", "32-true", "bf16-mixed", "16-mixed")]
    threads: Annotated[int | None, THREADS]
    max_epochs: Annotated[int | None, AT_LEAST_1]
    max_steps: Annotated[int | None, AT_LEAST_1]
    gradient_clip_val: Annotated[
        float | None, Range(POSITIVE.admits, "must be above 0; null turns clipping off")
    ]
    gradient_clip_algorithm: Annotated[str, one_of("value", "norm")]


@dataclass
class ProgressOptions:
    bar: bool


@dataclass
class SamplesOptions:
    length: Annotated[int, NOT_NEGATIVE]
    temperature: Annotated[float, NOT_NEGATIVE]


@dataclass
class CharacterCountsOptions:
    context: Annotated[int, AT_LEAST_1]
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
class StalledAverageOptions:
    patience: Annotated[int, AT_LEAST_1]


@dataclass
class GrowingWindowsOptions:
    first: Annotated[int, AT_LEAST_1]
    steps: Annotated[int, AT_LEAST_1]


@dataclass
class NormsOptions:
    """They come with each logged loss."""


@dataclass
class GateSaturationOptions:
    every: Annotated[int, AT_LEAST_1]
    length: Annotated[int, AT_LEAST_1]


@dataclass
class NextCharactersOptions(GateSaturationOptions):
    NEEDS: ClassVar = "matplotlib"
    EXTRA: ClassVar = "detailed"

    warmup: Annotated[int, NOT_NEGATIVE]
    characters: Annotated[int, AT_LEAST_1]


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
    "charrnn.training.AdamW": AdamOptions,
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
    "charrnn.training.StalledAverage": StalledAverageOptions,
    "charrnn.training.GrowingWindows": GrowingWindowsOptions,
    "charrnn.training.Norms": NormsOptions,
    "charrnn.training.GateSaturation": GateSaturationOptions,
    "charrnn.training.NextCharacters": NextCharactersOptions,
    "charrnn.training.MetricsCSV": MetricsCSVOptions,
    "lightning.pytorch.loggers.TensorBoardLogger": TensorBoardOptions,
    "lightning.pytorch.loggers.WandbLogger": WandbOptions,
    "lightning.pytorch.loggers.MLFlowLogger": MLFlowOptions,
}
TARGETS |= plugins.nodes()
