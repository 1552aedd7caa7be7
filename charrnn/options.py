"""What each command can be asked: the names, types and ranges of its options.

The defaults and a line of explanation for each stand in ``conf/``; Hydra merges the
command line into those and into these types, so a mistyped value is refused while
the config is composed, and an impossible one when its dataclass is built: both
before any data is read and before torch is imported.
"""

from __future__ import annotations

import codecs
import math
from dataclasses import dataclass
from typing import Any

from charrnn.errors import InputError

MISSING: Any = "???"  # OmegaConf's mark for a value that the config must bring

KINDS = ("lstm", "gru", "rnn")
MAX_THREADS = 512  # far beyond, torch crashes
SPLITS = ("train", "val", "test")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def require(holds: bool, option: str, value: object, demand: str) -> None:
    """Raise InputError for `option` unless `holds`; `demand` says what it must be."""
    if not holds:
        raise InputError(f"{option}={value}: {demand}")


def require_fractions(prefix: str, val_frac: float, test_frac: float) -> None:
    for name, fraction in (("val_frac", val_frac), ("test_frac", test_frac)):
        require(0 <= fraction < 1, prefix + name, fraction, "must be at least 0 and below 1")
    require(
        val_frac + test_frac < 1,
        f"{prefix}val_frac={val_frac} {prefix}test_frac",
        test_frac,
        "together they must be below 1, so that a part is left to train on",
    )


def require_encoding(option: str, encoding: str) -> None:
    if encoding != "bytes":
        try:
            known = codecs.lookup(encoding)._is_text_encoding
        except (LookupError, ValueError):
            known = False
        require(known, option, encoding, "is no text encoding; try utf-8, latin-1 or bytes")


def require_paths(option: str, value: Any) -> None:
    is_list = isinstance(value, list) and value and all(isinstance(v, str) and v for v in value)
    require(
        value is None or is_list or (isinstance(value, str) and value != ""),
        option,
        value,
        "takes a path or a list of paths: [a.txt,b.txt]",
    )


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
        require(self.batch_size >= 1, "data.batch_size", self.batch_size, "must be 1 or more")
        require(self.seq_length >= 1, "data.seq_length", self.seq_length, "must be 1 or more")
        require_h5_pair("data.", self.input_h5, self.input_json, self.input_txt)


def require_h5_pair(prefix: str, h5: str | None, json: str | None, txt: Any) -> None:
    """An HDF5 file comes with its JSON, and not with a text."""
    require(
        (h5 is None) == (json is None),
        f"{prefix}input_h5" if json is None else f"{prefix}input_json",
        h5 if json is None else json,
        f"{prefix}input_h5 and {prefix}input_json belong together; give both",
    )
    require(
        h5 is None or txt is None,
        f"{prefix}input_h5",
        h5,
        f"give either this pair or {prefix}input_txt, not both",
    )


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
        require(self.kind in KINDS, "model.kind", self.kind, f"must be one of {', '.join(KINDS)}")
        for name in ("embedding_size", "hidden_size", "num_layers"):
            value = getattr(self, name)
            require(value >= 1, f"model.{name}", value, "must be 1 or more")
        require(
            0 <= self.dropout < 1, "model.dropout", self.dropout, "must be at least 0 and below 1"
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
        names = ("adam", "adamw", "rmsprop")
        require(self.name in names, "optimizer.name", self.name, f"must be one of {names}")
        require(0 < self.lr < math.inf, "optimizer.lr", self.lr, "must be above 0")
        require(
            0 <= self.weight_decay < math.inf,
            "optimizer.weight_decay",
            self.weight_decay,
            "must be 0 or more",
        )
        require(0 < self.eps < math.inf, "optimizer.eps", self.eps, "must be above 0")
        for name in ("beta1", "beta2", "alpha"):
            value = getattr(self, name)
            require(0 <= value < 1, f"optimizer.{name}", value, "must be at least 0 and below 1")


@dataclass
class ScheduleOptions:
    name: str = MISSING
    decay_every: int = MISSING
    decay_factor: float = MISSING
    warmup_steps: int = MISSING
    final_factor: float = MISSING

    def __post_init__(self) -> None:
        names = ("step", "cosine", "constant")
        require(self.name in names, "schedule.name", self.name, f"must be one of {names}")
        require(
            self.decay_every >= 1, "schedule.decay_every", self.decay_every, "must be 1 or more"
        )
        require(
            0 < self.decay_factor <= 1,
            "schedule.decay_factor",
            self.decay_factor,
            "must be above 0 and at most 1",
        )
        require(
            self.warmup_steps >= 0, "schedule.warmup_steps", self.warmup_steps, "must be 0 or more"
        )
        require(
            0 <= self.final_factor <= 1,
            "schedule.final_factor",
            self.final_factor,
            "must be between 0 and 1",
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
        accelerators = ("auto", "cpu", "gpu", "mps")
        require(
            self.accelerator in accelerators,
            "trainer.accelerator",
            self.accelerator,
            f"must be one of {', '.join(accelerators)}",
        )
        require(
            self.devices == "auto"
            or (type(self.devices) is int and self.devices >= 1)
            or _are_indices(self.devices),
            "trainer.devices",
            self.devices,
            "must be auto, a number of devices or a list of their indices",
        )
        require(self.num_nodes >= 1, "trainer.num_nodes", self.num_nodes, "must be 1 or more")
        strategies = ("auto", "ddp")
        require(
            self.strategy in strategies,
            "trainer.strategy",
            self.strategy,
            f"must be one of {', '.join(strategies)}",
        )
        require(
            self.precision in PRECISIONS,
            "trainer.precision",
            self.precision,
            f"must be one of {', '.join(PRECISIONS)}",
        )
        for name in ("threads", "max_epochs", "max_steps"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"trainer.{name}", value, "must be 1 or more")
        require(
            self.threads is None or self.threads <= MAX_THREADS,
            "trainer.threads",
            self.threads,
            f"must be {MAX_THREADS} or less",
        )
        require(
            self.max_epochs is not None or self.max_steps is not None,
            "trainer.max_epochs",
            self.max_epochs,
            "give trainer.max_epochs or trainer.max_steps, so that training ends",
        )
        clip = self.gradient_clip_val
        require(
            clip is None or 0 < clip < math.inf,
            "trainer.gradient_clip_val",
            clip,
            "must be above 0; null turns clipping off",
        )
        require(
            self.gradient_clip_algorithm in ("value", "norm"),
            "trainer.gradient_clip_algorithm",
            self.gradient_clip_algorithm,
            "must be value or norm",
        )


def _are_indices(devices: Any) -> bool:
    """Whether these are the indices of one device or more, each named once."""
    return (
        isinstance(devices, list)
        and bool(devices)
        and all(type(d) is int and d >= 0 for d in devices)
        and len(set(devices)) == len(devices)
    )


@dataclass
class CallbackOptions:
    progress_bar: bool = MISSING
    sample_length: int = MISSING
    sample_temperature: float = MISSING
    keep_every: int | None = MISSING
    patience: int | None = MISSING
    min_delta: float = MISSING

    def __post_init__(self) -> None:
        require(
            self.sample_length >= 0,
            "callbacks.sample_length",
            self.sample_length,
            "must be 0 or more",
        )
        require(
            0 <= self.sample_temperature < math.inf,
            "callbacks.sample_temperature",
            self.sample_temperature,
            "must be 0 or more",
        )
        for name in ("keep_every", "patience"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"callbacks.{name}", value, "must be 1 or more")
        require(
            0 <= self.min_delta < math.inf,
            "callbacks.min_delta",
            self.min_delta,
            "must be 0 or more",
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
        for name in ("checkpoint_every", "print_every"):
            value = getattr(self, name)
            require(value >= 1, name, value, "must be 1 or more")
        every = self.validate_every
        require(
            every is None or every >= 0,
            "validate_every",
            every,
            "must be 1 or more, or 0 for never",
        )
        require(
            self.seed is None or 0 <= self.seed < 2**63,
            "seed",
            self.seed,
            "must be between 0 and 2**63 - 1",
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
        require(self.split in SPLITS, "split", self.split, f"must be one of {', '.join(SPLITS)}")


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
        require(self.length >= 0, "length", self.length, "must be 0 or more")
        require(
            0 <= self.temperature < math.inf,
            "temperature",
            self.temperature,
            "must be 0 or more: 0.2 is careful, 1 is the model's own, above is wild",
        )
        require(
            self.seed is None or 0 <= self.seed < 2**63,
            "seed",
            self.seed,
            "must be between 0 and 2**63 - 1",
        )
        require(self.top_k is None or self.top_k >= 1, "top_k", self.top_k, "must be 1 or more")
        require(
            self.top_p is None or 0 < self.top_p <= 1,
            "top_p",
            self.top_p,
            "must be above 0 and at most 1",
        )
        require(self.num_samples >= 1, "num_samples", self.num_samples, "must be 1 or more")
        require(self.until != "", "until", "", "must be a text of one character or more")
        engines = ("auto", "numpy", "numba", "torch")
        require(
            self.engine in engines, "engine", self.engine, f"must be one of {', '.join(engines)}"
        )


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
