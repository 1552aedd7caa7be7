"""The options of the core's commands, each with its type, its range and its traits.

The defaults and a line of explanation for each stand in ``conf/``; `charrnn.cli.building` holds a
composed config to what is declared here, before any data is read and before torch is imported. All
else follows from the traits: what is taken literally (`charrnn.cli.literal`), what is a path, what
a resume may not change. What `charrnn train` builds, each with a ``_target_``, is declared in
`charrnn.cli.targets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from charrnn import registry
from charrnn.options.datasets import SourceOptions, SplitOptions
from charrnn.options.ranges import (
    AT_LEAST_1,
    COUNTS,
    DURATION,
    FIXED,
    NODE,
    NODES,
    NOT_EMPTY,
    NOT_NEGATIVE,
    PATH,
    PORT,
    POSITIVE,
    SEED,
    SHARE,
    TEMPERATURE,
    TEXT,
    UNIT,
    WEIGHTS,
    Models,
    Range,
    one_of,
    require,
)
from charrnn.options.sampling import SamplingParams

# A method `check` holds options to one another, once each is right by itself.


@dataclass(frozen=True, kw_only=True)
class PreprocessOptions(SplitOptions):
    input_txt: Annotated[str | list[str], PATH]
    output_h5: Annotated[str | None, PATH]
    output_json: Annotated[str | None, PATH]
    quiet: bool


@dataclass
class TrainOptions:
    data: Annotated[dict[str, Any], NODE]
    model: Annotated[dict[str, Any], NODE]
    optimizer: Annotated[dict[str, Any], NODE]
    schedule: Annotated[dict[str, Any], NODE]
    trainer: Annotated[dict[str, Any], NODE]
    callbacks: Annotated[dict[str, Any], NODES]
    logger: Annotated[dict[str, Any], NODES]
    checkpoint_every: Annotated[int | None, AT_LEAST_1]
    validate_every: Annotated[
        int | None, Range(NOT_NEGATIVE.admits, "must be 1 or more, or 0 for never")
    ]
    print_every: Annotated[int, AT_LEAST_1]
    budget: Annotated[str | None, DURATION, FIXED]
    seed: Annotated[int | None, SEED, FIXED]
    resume: Annotated[str | None, PATH]
    init_from: Annotated[str | None, PATH, FIXED]
    distill_from: Annotated[str | list[str] | None, PATH, FIXED]
    distill_weight: Annotated[float, SHARE, FIXED]
    fit_temperature: bool
    tags: Annotated[list[str] | None, TEXT]

    def check(self, prefix: str) -> None:
        require(
            self.resume is None or self.init_from is None,
            "init_from",
            self.init_from,
            "resume= goes on with everything, init_from= starts anew from weights; give one",
        )
        require(
            self.resume in (None, "auto") or self.budget is None,
            "budget",
            self.budget,
            "a resume goes on with what was chosen when the run was begun; leave it out",
        )
        kind = self.model.get("kind", "lstm")
        require(
            not self.fit_temperature or registry.cell_of(kind) is not None,
            "fit_temperature",
            "true",
            f"a {kind} is evaluated as it is; leave it out",
        )


@dataclass
class RunsOptions:
    folder: Annotated[str, PATH]
    sort: Annotated[str, TEXT, NOT_EMPTY]
    where: Annotated[str | None, TEXT]
    json: bool
    csv: Annotated[str | None, PATH]
    curves: Annotated[str | None, PATH]
    all: bool
    remove: Annotated[str | None, PATH]
    force: bool

    def check(self, prefix: str) -> None:
        require(not self.force or self.remove is not None, "force", "true", "needs remove=FOLDER")


@dataclass
class TensorboardOptions:
    folder: Annotated[str, PATH]
    host: Annotated[str, TEXT, NOT_EMPTY]
    port: Annotated[int | None, PORT]


EVALUATION_TEMPERATURE = Range(
    lambda value: value == "recorded" or (isinstance(value, float) and POSITIVE.admits(value)),
    "must be a number above 0, or recorded",
)


@dataclass
class EvaluateOptions:
    checkpoint: Models
    weights: Annotated[list[float] | None, WEIGHTS]
    split: Annotated[str, one_of("train", "val", "test")]
    data: SourceOptions
    unknown: Annotated[str, one_of("error", "skip")]
    counts: Annotated[str, COUNTS]
    temperature: Annotated[float | str, EVALUATION_TEMPERATURE]
    window: Annotated[int | None, AT_LEAST_1]
    dynamic: bool
    dynamic_lr: Annotated[float | None, POSITIVE]
    dynamic_decay: Annotated[float | None, UNIT]
    dynamic_segment: Annotated[int | None, AT_LEAST_1]
    json: bool

    def check(self, prefix: str) -> None:
        require(
            self.window is None or not self.dynamic,
            "window",
            self.window,
            "dynamic=true learns along one stream, window= scores each window alone; give one",
        )
        for name in ("dynamic_lr", "dynamic_decay", "dynamic_segment"):
            value = getattr(self, name)
            require(self.dynamic or value is None, name, value, "needs dynamic=true")


TEMPERATURES = Range(
    lambda value: (
        bool(value) and all(map(TEMPERATURE.admits, value))
        if isinstance(value, list)
        else TEMPERATURE.admits(value)
    ),
    f"{TEMPERATURE.demand}; [0.2,0.5] writes with each",
)


@dataclass(frozen=True, kw_only=True)
class SampleOptions(SamplingParams):
    checkpoint: Models
    weights: Annotated[list[float] | None, WEIGHTS]
    # several: a text with each
    temperature: Annotated[float | list[float | str] | str, TEMPERATURES]  # type: ignore[assignment]
    start_file: Annotated[str | None, PATH]
    mode: Annotated[str, one_of("text", "lines")]
    counts: Annotated[str, COUNTS]
    json: bool
    output: Annotated[str | None, PATH]

    def check(self, prefix: str) -> None:
        require(
            self.start_file is None or not self.start_text,
            "start_file",
            self.start_file,
            "stands in for start_text; give one",
        )
        require(
            self.output != "-",
            "output",
            self.output,
            "standard output is where the text goes without output=",
        )


@dataclass
class ScoreOptions:
    checkpoint: Models
    weights: Annotated[list[float] | None, WEIGHTS]
    input_txt: Annotated[str | list[str], PATH]
    by: Annotated[str, one_of("text", "line", "character")]
    counts: Annotated[str, COUNTS]
    unknown: Annotated[str, one_of("error", "skip")]
    json: bool


CONVERTED = Range(
    lambda value: value.endswith(".safetensors"),
    "must end in .safetensors (a model file); `charrnn export` writes pages and ONNX",
)


@dataclass
class ConvertOptions:
    input: Annotated[str, PATH]
    output: Annotated[str, PATH, CONVERTED]
