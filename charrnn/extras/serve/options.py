"""The options of `charrnn serve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.ranges import (
    AT_LEAST_1,
    COUNTS,
    NOT_EMPTY,
    NOT_NEGATIVE,
    ORIGINS,
    PATH,
    PORT,
    POSITIVE,
    PRIMES,
    TEXT,
    UNKNOWN,
    Models,
    require,
)
from charrnn.options.sampling import ENGINE


@dataclass
class ServeOptions:
    checkpoint: Models
    models: dict | None  # name -> path, or paths of an ensemble
    host: Annotated[str, TEXT, NOT_EMPTY]
    port: Annotated[int, PORT]
    token: Annotated[str | None, TEXT, NOT_EMPTY]
    unknown: Annotated[str, UNKNOWN]
    prime: Annotated[str, PRIMES]
    counts: Annotated[str, COUNTS]
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
