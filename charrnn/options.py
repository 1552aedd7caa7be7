"""What each command can be asked: the names, types and ranges of its options.

The defaults and a line of explanation for each stand in ``conf/``; Hydra merges the
command line into those and into these types, so a mistyped value is refused while
the config is composed, and an impossible one when its dataclass is built: both
before any data is read and before torch is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from charrnn.cells import CELLS
from charrnn.errors import InputError
from charrnn.text.checks import (
    SPLITS,
    require_encoding,
    require_fractions,
    require_h5_pair,
    require_paths,
)

MISSING: Any = "???"  # OmegaConf's mark for a value that the config must bring

KINDS = tuple(CELLS)
MAX_THREADS = 512  # far beyond, torch crashes
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def require(holds: bool, option: str, value: object, demand: str) -> None:
    """Raise InputError for `option` unless `holds`; `demand` says what it must be."""
    if not holds:
        raise InputError(f"{option}={value}: {demand}")


class Range(NamedTuple):
    """Which values an option may have, and how to say so."""

    admits: Callable[[Any], bool]
    demand: str


def one_of(*names: str) -> Range:
    return Range(lambda value: value in names, f"must be one of {', '.join(names)}")


POSITIVE = Range(lambda value: 0 < value < math.inf, "must be above 0")
NOT_NEGATIVE = Range(lambda value: 0 <= value < math.inf, "must be 0 or more")
AT_LEAST_1 = Range(lambda value: value >= 1, "must be 1 or more")
BELOW_1 = Range(lambda value: 0 <= value < 1, "must be at least 0 and below 1")
SHARE = Range(lambda value: 0 < value <= 1, "must be above 0 and at most 1")
SEED = Range(lambda value: 0 <= value < 2**63, "must be between 0 and 2**63 - 1")


def require_ranges(prefix: str, options: object, **ranges: Range) -> None:
    """Raise InputError for the first of these options that is out of its range; None is in any."""
    for name, allowed in ranges.items():
        value = getattr(options, name)
        require(value is None or allowed.admits(value), prefix + name, value, allowed.demand)


@dataclass
class PreprocessOptions:
    input_txt: Any = MISSING
    output_h5: str | None = MISSING
    output_json: str | None = MISSING
    val_frac: float = MISSING
    test_frac: float = MISSING
    encoding: str = MISSING
    quiet: bool = MISSING

    def __post_init__(self) -> None:
        require_paths("input_txt", self.input_txt)
        require_fractions("", self.val_frac, self.test_frac)
        require_encoding("encoding", self.encoding)


@dataclass
class DataOptions:
    """The corpus, and how it is cut into windows."""

    corpus: str | None = MISSING
    url: str | None = MISSING
    sha256: str | None = MISSING
    input_txt: Any = MISSING
    input_h5: str | None = MISSING
    input_json: str | None = MISSING
    val_frac: float = MISSING
    test_frac: float = MISSING
    encoding: str = MISSING
    batch_size: int = MISSING
    seq_length: int = MISSING

    def __post_init__(self) -> None:
        require_paths("data.input_txt", self.input_txt)
        require(
            self.input_txt != "-",
            "data.input_txt",
            "-",
            "training reads its text more than once; first `charrnn preprocess input_txt=- "
            "output_h5=FILE`, then give data.input_h5= and data.input_json=",
        )
        require_fractions("data.", self.val_frac, self.test_frac)
        require_encoding("data.encoding", self.encoding)
        require_ranges("data.", self, batch_size=AT_LEAST_1, seq_length=AT_LEAST_1)
        require_h5_pair("data.", self.input_h5, self.input_json, self.input_txt)


@dataclass
class ModelOptions:
    """The network, all but the size of its vocabulary."""

    kind: str = MISSING
    embedding_size: int = MISSING
    hidden_size: int = MISSING
    num_layers: int = MISSING
    dropout: float = MISSING
    batchnorm: bool = MISSING

    def __post_init__(self) -> None:
        require_ranges(
            "model.",
            self,
            kind=one_of(*KINDS),
            embedding_size=AT_LEAST_1,
            hidden_size=AT_LEAST_1,
            num_layers=AT_LEAST_1,
            dropout=BELOW_1,
        )


@dataclass
class OptimizerOptions:
    name: str = MISSING
    lr: float = MISSING
    weight_decay: float = MISSING
    beta1: float = MISSING
    beta2: float = MISSING
    alpha: float = MISSING
    eps: float = MISSING

    def __post_init__(self) -> None:
        require_ranges(
            "optimizer.",
            self,
            name=one_of("adam", "adamw", "rmsprop"),
            lr=POSITIVE,
            weight_decay=NOT_NEGATIVE,
            eps=POSITIVE,
            beta1=BELOW_1,
            beta2=BELOW_1,
            alpha=BELOW_1,
        )


@dataclass
class ScheduleOptions:
    name: str = MISSING
    decay_every: int = MISSING
    decay_factor: float = MISSING
    warmup_steps: int = MISSING
    final_factor: float = MISSING

    def __post_init__(self) -> None:
        require_ranges(
            "schedule.",
            self,
            name=one_of("step", "cosine", "constant"),
            decay_every=AT_LEAST_1,
            decay_factor=SHARE,
            warmup_steps=NOT_NEGATIVE,
            final_factor=Range(lambda value: 0 <= value <= 1, "must be between 0 and 1"),
        )


@dataclass
class TrainerOptions:
    accelerator: str = MISSING
    devices: Any = MISSING
    num_nodes: int = MISSING
    strategy: str = MISSING
    precision: str = MISSING
    threads: int | None = MISSING
    max_epochs: int | None = MISSING
    max_steps: int | None = MISSING
    gradient_clip_val: float | None = MISSING
    gradient_clip_algorithm: str = MISSING

    def __post_init__(self) -> None:
        require_ranges(
            "trainer.",
            self,
            accelerator=one_of("auto", "cpu", "gpu", "mps"),
            num_nodes=AT_LEAST_1,
            strategy=one_of("auto", "ddp"),
            precision=one_of(*PRECISIONS),
            threads=Range(
                lambda value: 1 <= value <= MAX_THREADS, f"must be between 1 and {MAX_THREADS}"
            ),
            max_epochs=AT_LEAST_1,
            max_steps=AT_LEAST_1,
            gradient_clip_val=Range(POSITIVE.admits, "must be above 0; null turns clipping off"),
            gradient_clip_algorithm=one_of("value", "norm"),
        )
        require(
            _are_devices(self.devices),
            "trainer.devices",
            self.devices,
            "must be auto, a number of devices or a list of their indices",
        )
        require(
            self.max_epochs is not None or self.max_steps is not None,
            "trainer.max_epochs",
            self.max_epochs,
            "give trainer.max_epochs or trainer.max_steps, so that training ends",
        )


def _are_devices(devices: Any) -> bool:
    """Whether these are devices: auto, a number, or indices, each named once."""
    if isinstance(devices, list):
        indices = all(type(d) is int and d >= 0 for d in devices)
        return indices and 0 < len(devices) == len(set(devices))
    return devices == "auto" or (type(devices) is int and devices >= 1)


@dataclass
class CallbackOptions:
    progress_bar: bool = MISSING
    sample_length: int = MISSING
    sample_temperature: float = MISSING
    keep_every: int | None = MISSING
    patience: int | None = MISSING
    min_delta: float = MISSING

    def __post_init__(self) -> None:
        require_ranges(
            "callbacks.",
            self,
            sample_length=NOT_NEGATIVE,
            sample_temperature=NOT_NEGATIVE,
            keep_every=AT_LEAST_1,
            patience=AT_LEAST_1,
            min_delta=NOT_NEGATIVE,
        )


@dataclass
class LoggerOptions:
    tensorboard: bool = MISSING


@dataclass
class TrainOptions:
    data: DataOptions = MISSING
    model: ModelOptions = MISSING
    optimizer: OptimizerOptions = MISSING
    schedule: ScheduleOptions = MISSING
    trainer: TrainerOptions = MISSING
    callbacks: CallbackOptions = MISSING
    logger: LoggerOptions = MISSING
    checkpoint_every: int = MISSING
    validate_every: int | None = MISSING
    print_every: int = MISSING
    seed: int | None = MISSING
    resume: str | None = MISSING
    init_from: str | None = MISSING

    def __post_init__(self) -> None:
        require_ranges(
            "",
            self,
            checkpoint_every=AT_LEAST_1,
            print_every=AT_LEAST_1,
            validate_every=Range(NOT_NEGATIVE.admits, "must be 1 or more, or 0 for never"),
            seed=SEED,
        )
        require(
            self.resume is None or self.init_from is None,
            "init_from",
            self.init_from,
            "resume= goes on with everything, init_from= starts anew from weights; give one",
        )


@dataclass
class EvaluationDataOptions:
    input_txt: Any = MISSING
    input_h5: str | None = MISSING
    input_json: str | None = MISSING

    def __post_init__(self) -> None:
        require_paths("data.input_txt", self.input_txt)
        require_h5_pair("data.", self.input_h5, self.input_json, self.input_txt)


@dataclass
class EvaluateOptions:
    checkpoint: str = MISSING
    split: str = MISSING
    data: EvaluationDataOptions = MISSING
    json: bool = MISSING

    def __post_init__(self) -> None:
        require_ranges("", self, split=one_of(*SPLITS))


@dataclass
class SampleOptions:
    checkpoint: str = MISSING
    length: int = MISSING
    temperature: float = MISSING
    start_text: str = MISSING
    seed: int | None = MISSING
    sample: bool = MISSING
    top_k: int | None = MISSING
    top_p: float | None = MISSING
    num_samples: int = MISSING
    until: str | None = MISSING
    output: str | None = MISSING
    engine: str = MISSING

    def __post_init__(self) -> None:
        require_ranges(
            "",
            self,
            length=NOT_NEGATIVE,
            temperature=Range(
                NOT_NEGATIVE.admits,
                "must be 0 or more: 0.2 is careful, 1 is the model's own, above is wild",
            ),
            seed=SEED,
            top_k=AT_LEAST_1,
            top_p=SHARE,
            num_samples=AT_LEAST_1,
            engine=one_of("auto", "numpy", "numba", "torch"),
        )
        require(self.until != "", "until", "", "must be a text of one character or more")


@dataclass
class ConvertOptions:
    input: str = MISSING
    output: str = MISSING


SCHEMAS: dict[str, type] = {
    "preprocess": PreprocessOptions,
    "train": TrainOptions,
    "evaluate": EvaluateOptions,
    "sample": SampleOptions,
    "convert": ConvertOptions,
}
