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
from charrnn.options.sampling import ENGINE, PRECISION, check_device

MODELS = Range(
    lambda value: all(isinstance(paths, str | list) and paths for paths in value.values()),
    "takes a path for each name, or a list of paths for an ensemble",
)


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
    engine: Annotated[str, ENGINE]
    device: Annotated[str, DEVICE]
    precision: Annotated[int, PRECISION]
    streams: Annotated[int, AT_LEAST_1]
    max_length: Annotated[int, AT_LEAST_1]
    max_prompt: Annotated[int, AT_LEAST_1]
    max_body: Annotated[int, AT_LEAST_1]
    max_queue: Annotated[int, AT_LEAST_1]
    max_seconds: Annotated[float, POSITIVE]
    max_connections: Annotated[int, AT_LEAST_1]
    drain_seconds: Annotated[int, NOT_NEGATIVE]
    max_loaded: Annotated[int, AT_LEAST_1]

    def check(self) -> None:
        check_device(self.device, self.engine, self.precision)
        hint = "is for checkpoint=[a,b]; the models of models.NAME=[a,b] have equal weights"
        require(not (self.weights and self.models), "weights", self.weights, hint)
