"""The options of the commands that use a model: evaluate, sample, score, serve and the like.

Declared as `charrnn.cli.options` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.counts import COUNTS
from charrnn.export import ENDINGS
from charrnn.options.ranges import (
    AT_LEAST_1,
    NOT_EMPTY,
    NOT_NEGATIVE,
    ORIGINS,
    PATH,
    PORT,
    POSITIVE,
    PRIMES,
    TEMPERATURE,
    TEXT,
    UNIT,
    UNKNOWN,
    Models,
    Paths,
    Range,
    one_of,
    require,
)
from charrnn.options.sampling import ENGINE, SamplingParams
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
    counts: Annotated[str, one_of(*COUNTS)]
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


NOVEL = Range(
    lambda value: isinstance(value, bool) or value >= 1,
    "must be the longest run of characters that may be copied, 1 or more",
)


@dataclass(frozen=True, kw_only=True)
class SampleOptions(SamplingParams):
    checkpoint: Models
    # several: a text with each
    temperature: Annotated[float | list[float | str] | str, TEMPERATURES]  # type: ignore[assignment]
    start_file: Annotated[str | None, PATH]
    mode: Annotated[str, one_of("text", "lines")]
    interactive: bool
    json: bool
    novel: Annotated[bool | int, NOVEL]
    report: bool
    report_folder: Annotated[str | None, PATH]
    corpus: Annotated[str | None, PATH]
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
        others = {
            "json=true": self.json,
            "mode=lines": self.mode == "lines",
            "novel=": self.novel is not False,
            "report=true": self.report,
            "a list of temperatures": isinstance(self.temperature, list),
        }
        for other, taken in others.items():
            require(
                not (self.interactive and taken),
                "interactive",
                "true",
                f"does not go with {other}; leave one of them out",
            )
        self._check_novelty()

    def _check_novelty(self) -> None:
        lines = self.mode == "lines"
        require(
            self.novel is not True or lines,
            "novel",
            "true",
            "needs mode=lines; for a text give the longest run that may be copied: novel=40",
        )
        require(
            isinstance(self.novel, bool) or not lines,
            "novel",
            self.novel,
            "is for a text; novel=true writes no line of the training text",
        )
        for name in ("report_folder", "corpus"):
            value = getattr(self, name)
            needed = self.report or (name == "corpus" and self.novel is not False)
            what = "report=true or novel=" if name == "corpus" else "report=true"
            require(needed or value is None, name, value, f"needs {what}")


@dataclass
class ScoreOptions:
    checkpoint: Models
    input_txt: Annotated[str | list[str], PATH]
    by: Annotated[str, one_of("text", "line", "character")]
    counts: Annotated[str, one_of(*COUNTS)]
    unknown: Annotated[str, one_of("error", "skip")]
    json: bool


PASSAGE = Range(lambda value: 2 <= value <= 200_000, "must be between 2 and 200000")


@dataclass
class InspectOptions:
    checkpoint: Annotated[str, PATH]
    input_txt: Annotated[str | list[str] | None, PATH]
    length: Annotated[int, PASSAGE]
    unknown: Annotated[str, UNKNOWN]
    output: Annotated[str, PATH]


CONVERTED = Range(
    lambda value: value.endswith(".safetensors"),
    "must end in .safetensors (a model file); `charrnn export` writes pages and ONNX",
)


@dataclass
class ConvertOptions:
    input: Annotated[str, PATH]
    output: Annotated[str, PATH, CONVERTED]


BITS = Range(lambda value: value in (8, 16, 32), "must be 8, 16 or 32 bits")
EXPORTED = Range(
    lambda value: value.endswith(ENDINGS),
    "must end in .html (a page), .onnx or .safetensors (a model file)",
)


@dataclass
class ExportOptions:
    checkpoint: Annotated[str, PATH]
    output: Annotated[str, PATH, EXPORTED]
    precision: Annotated[int | None, BITS]
    title: Annotated[str | None, TEXT]
    licence: Annotated[str, TEXT]
    novelty: bool
    corpus: Annotated[str | None, PATH]

    def check(self, prefix: str) -> None:
        page = self.output.endswith(".html")
        require(page or not self.novelty, "novelty", "true", "is for a page: output=page.html")
        require(
            not self.output.endswith(".onnx") or self.precision in (None, 32),
            "precision",
            self.precision,
            "of ONNX it is 32 bits; onnxruntime.quantization makes a smaller file of it",
        )
        require(self.novelty or self.corpus is None, "corpus", self.corpus, "needs novelty=true")


@dataclass
class ServeOptions:
    checkpoint: Models
    models: dict | None  # name -> path, or paths of an ensemble
    host: Annotated[str, TEXT, NOT_EMPTY]
    port: Annotated[int, PORT]
    token: Annotated[str | None, TEXT, NOT_EMPTY]
    unknown: Annotated[str, UNKNOWN]
    prime: Annotated[str, PRIMES]
    corpus: Annotated[str | None, PATH]
    cors: Annotated[list[str] | None, ORIGINS]
    engine: Annotated[str, ENGINE]
    streams: Annotated[int, AT_LEAST_1]
    cache_mb: Annotated[int, NOT_NEGATIVE]
    max_length: Annotated[int, AT_LEAST_1]
    max_prompt: Annotated[int, AT_LEAST_1]
    max_body: Annotated[int, AT_LEAST_1]
    max_queue: Annotated[int, AT_LEAST_1]
    max_seconds: Annotated[float, POSITIVE]
    max_connections: Annotated[int, AT_LEAST_1]
    drain_seconds: Annotated[int, NOT_NEGATIVE]

    def check(self, prefix: str) -> None:
        for name, paths in (self.models or {}).items():
            for path in paths if isinstance(paths, list) and paths else [paths]:
                require(
                    isinstance(path, str) and path != "",
                    f"models.{name}",
                    path,
                    "takes a path, or a list of paths for an ensemble",
                )
