"""The options of `charrnn serve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.ranges import (
    AT_LEAST_1,
    COUNTS,
    DEVICE,
    NOT_EMPTY,
    NOT_NEGATIVE,
    ORIGINS,
    PATH,
    PORT,
    POSITIVE,
    PRIMES,
    TEXT,
    UNKNOWN,
    WEIGHTS,
    Paths,
    Range,
    require,
)

MODELS = Range(
    lambda value: all(isinstance(paths, str | list) and paths for paths in value.values()),
    "takes a path for each name, or a list of paths for an ensemble",
)
AT_LEAST_HALF = Range(lambda value: value >= 0.5, "must be 0.5 or more")


@dataclass(kw_only=True)
class ServeOptions:
    """The options of the server; ``serve.yaml`` has their defaults and explanations."""

    checkpoint: Paths
    weights: Annotated[list[float] | None, WEIGHTS]
    models: Annotated[dict | None, MODELS]
    host: Annotated[str, TEXT, NOT_EMPTY]
    port: Annotated[int, PORT]
    token: Annotated[str | None, TEXT, NOT_EMPTY]
    unknown: Annotated[str, UNKNOWN]
    prime: Annotated[str, PRIMES]
    counts: Annotated[str, COUNTS]
    corpus: Annotated[str | None, PATH]
    cors: Annotated[list[str] | None, ORIGINS]
    device: Annotated[str, DEVICE]
    streams: Annotated[int, AT_LEAST_1]
    max_length: Annotated[int, AT_LEAST_1]
    max_prompt: Annotated[int, AT_LEAST_1]
    max_body: Annotated[int, AT_LEAST_1]
    max_queue: Annotated[int, AT_LEAST_1]
    max_seconds: Annotated[float, POSITIVE]
    max_connections: Annotated[int, AT_LEAST_1]
    drain_seconds: Annotated[int, NOT_NEGATIVE]
    learn: bool | None
    teacher_token: Annotated[str | None, TEXT, NOT_EMPTY]
    max_text: Annotated[int, AT_LEAST_1]
    max_trainings: Annotated[int, AT_LEAST_1]
    max_minutes: Annotated[float | None, AT_LEAST_HALF]
    min_free: Annotated[int, NOT_NEGATIVE]
    max_loaded: Annotated[int, AT_LEAST_1]

    def check(self) -> None:
        hint = "is for checkpoint=[a,b]; the models of models.NAME=[a,b] have equal weights"
        require(not (self.weights and self.models), "weights", self.weights, hint)
