"""The options of the core's commands, each with its type, its range and its traits.

The defaults and a line of explanation for each stand in ``conf/``. `charrnn.cli.checked_options`
holds a composed config to what is declared here, before any data is read and before torch is
imported. All else follows from the traits: what is taken literally (`charrnn.cli.literal`), what is
a path, what a resume may not change. Those of `charrnn train` are in `charrnn.options.training`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.datasets import SourceOptions, SplitOptions
from charrnn.options.ranges import (
    AT_LEAST_1,
    COUNTS,
    NOT_EMPTY,
    PATH,
    TEMPERATURE,
    TEXT,
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
class RunsOptions:
    folder: Annotated[str, PATH]
    sort: Annotated[str, TEXT, NOT_EMPTY]
    json: bool
    csv: Annotated[str | None, PATH]
    remove: Annotated[str | None, PATH]


@dataclass
class EvaluateOptions:
    checkpoint: Models
    weights: Annotated[list[float] | None, WEIGHTS]
    split: Annotated[str, one_of("train", "val", "test")]
    data: SourceOptions
    unknown: Annotated[str, one_of("error", "skip")]
    counts: Annotated[str, COUNTS]
    window: Annotated[int | None, AT_LEAST_1]
    by: Annotated[str, one_of("text", "line", "character")]
    json: bool

    def check(self, prefix: str) -> None:
        require(
            self.window is None or self.by == "text",
            "window",
            self.window,
            f"by={self.by} scores one stream; give one",
        )


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
    temperature: Annotated[float | list[float], TEMPERATURES]  # type: ignore[assignment]
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


CONVERTED = Range(
    lambda value: value.endswith(".safetensors"),
    "must end in .safetensors (a model file); `charrnn export` writes pages",
)


@dataclass
class ConvertOptions:
    input: Annotated[str, PATH]
    output: Annotated[str, PATH, CONVERTED]
