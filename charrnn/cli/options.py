"""Every option of every command, once: its type, its range and its traits.

The defaults and a line of explanation for each stand in ``conf/``. `charrnn.cli.building`
holds a composed config to what is declared here, before any data is read and before torch
is imported. A field is ``name: Annotated[type, range, traits]``, and may be null where its
type says ``| None``. A trait is written here and nowhere else: what is taken literally
(`charrnn.cli.literal`), what is a path, what a resume may not change all follow from it.

What is built in training, each a node with a ``_target_``, is declared in `charrnn.cli.nodes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from charrnn.cli.ranges import (
    ENCODING,
    FIXED,
    NODE,
    NODES,
    NOT_EMPTY,
    PATH,
    PORT,
    TEXT,
    Models,
    Paths,
)
from charrnn.export import ENDINGS
from charrnn.ranges import (
    AT_LEAST_1,
    BELOW_1,
    DURATION,
    NOT_NEGATIVE,
    POSITIVE,
    PRIMES,
    SEED,
    SHARE,
    TEMPERATURE,
    UNIT,
    UNKNOWN,
    Range,
    one_of,
    require,
)
from charrnn.text.checks import LINES, require_fractions, require_h5_pair

# A method `check` holds options to one another, once each is right by itself.


@dataclass
class PreprocessOptions:
    input_txt: Annotated[str | list[str], PATH]
    output_h5: Annotated[str | None, PATH]
    output_json: Annotated[str | None, PATH]
    val_frac: Annotated[float, BELOW_1]
    test_frac: Annotated[float, BELOW_1]
    encoding: Annotated[str, ENCODING]
    lines: Annotated[str, LINES]
    lines_seed: Annotated[int, SEED]
    quiet: bool

    def check(self, prefix: str) -> None:
        require_fractions(prefix, self.val_frac, self.test_frac)


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


@dataclass
class SampleOptions:
    checkpoint: Models
    length: Annotated[int, NOT_NEGATIVE]
    temperature: Annotated[float | list[float | str] | str, TEMPERATURES]
    start_text: Annotated[str, TEXT]
    start_file: Annotated[str | None, PATH]
    unknown: Annotated[str, one_of(*UNKNOWN)]
    prime: Annotated[str, one_of(*PRIMES)]
    seed: Annotated[int | None, SEED]
    sample: bool
    top_k: Annotated[int | None, AT_LEAST_1]
    top_p: Annotated[float | None, SHARE]
    min_p: Annotated[float | None, UNIT]
    ban: Annotated[str | None, TEXT]
    num_samples: Annotated[int, AT_LEAST_1]
    until: Annotated[str | None, TEXT, NOT_EMPTY]
    mode: Annotated[str, one_of("text", "lines")]
    interactive: bool
    json: bool
    novel: Annotated[bool | int, NOVEL]
    report: bool
    report_folder: Annotated[str | None, PATH]
    corpus: Annotated[str | None, PATH]
    output: Annotated[str | None, PATH]
    engine: Annotated[str, one_of("auto", "numpy", "numba", "torch")]

    def check(self, prefix: str) -> None:
        require(
            self.start_file is None or not self.start_text,
            "start_file",
            self.start_file,
            "stands in for start_text; give one",
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
    unknown: Annotated[str, one_of("error", "skip")]
    json: bool


PASSAGE = Range(lambda value: 2 <= value <= 200_000, "must be between 2 and 200000")


@dataclass
class InspectOptions:
    checkpoint: Annotated[str, PATH]
    input_txt: Annotated[str | list[str] | None, PATH]
    length: Annotated[int, PASSAGE]
    unknown: Annotated[str, one_of(*UNKNOWN)]
    output: Annotated[str, PATH]


@dataclass
class RunsOptions:
    folder: Annotated[str, PATH]
    sort: Annotated[str, TEXT, NOT_EMPTY]
    where: Annotated[str | None, TEXT]
    json: bool
    csv: Annotated[str | None, PATH]
    curves: Annotated[str | None, PATH]


@dataclass
class ConvertOptions:
    input: Annotated[str, PATH]
    output: Annotated[str, PATH]


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
    unknown: Annotated[str, one_of(*UNKNOWN)]
    prime: Annotated[str, one_of(*PRIMES)]
    corpus: Annotated[str | None, PATH]
    cors: list[str] | None
    engine: Annotated[str, one_of("auto", "numpy", "numba", "torch")]
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


@dataclass
class TensorboardOptions:
    folder: Annotated[str, PATH]
    host: Annotated[str, TEXT, NOT_EMPTY]
    port: Annotated[int | None, PORT]


SCHEMAS: dict[str, type] = {
    "preprocess": PreprocessOptions,
    "train": TrainOptions,
    "evaluate": EvaluateOptions,
    "sample": SampleOptions,
    "serve": ServeOptions,
    "score": ScoreOptions,
    "inspect": InspectOptions,
    "export": ExportOptions,
    "runs": RunsOptions,
    "convert": ConvertOptions,
    "tensorboard": TensorboardOptions,
}
