"""The options of the commands that use a model: evaluate, sample, score and convert.

Declared as `charrnn.cli.options` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.ranges import (
    AT_LEAST_1,
    COUNTS,
    PATH,
    POSITIVE,
    TEMPERATURE,
    UNIT,
    Models,
    Paths,
    Range,
    one_of,
    require,
)
from charrnn.options.sampling import SamplingParams
from charrnn.text.checks import require_h5_pair

EVALUATION_TEMPERATURE = Range(
    lambda value: value == "recorded" or (isinstance(value, float) and POSITIVE.admits(value)),
    "must be a number above 0, or recorded",
)


@dataclass
class EvaluationDataOptions:
    input_txt: Paths
    input_h5: Annotated[str | None, PATH]
    input_json: Annotated[str | None, PATH]

    def check(self, prefix: str) -> None:
        require_h5_pair(prefix, self.input_h5, self.input_json, self.input_txt)


@dataclass
class EvaluateOptions:
    checkpoint: Models
    split: Annotated[str, one_of("train", "val", "test")]
    data: EvaluationDataOptions
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
