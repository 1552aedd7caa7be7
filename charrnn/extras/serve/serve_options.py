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
    TEXT,
    UNKNOWN,
    Range,
)

MODELS = Range(
    lambda value: all(isinstance(path, str) and path for path in value.values()),
    "takes a path for each name",
)


@dataclass(kw_only=True)
class ServeOptions:
    """The options of the server; ``conf/serve.yaml`` has their defaults and explanations."""

    checkpoint: Annotated[str | None, PATH]
    models: Annotated[dict | None, MODELS]
    host: Annotated[str, TEXT, NOT_EMPTY]
    port: Annotated[int, PORT]
    token: Annotated[str | None, TEXT, NOT_EMPTY]
    unknown: Annotated[str, UNKNOWN]
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
    max_loaded: Annotated[int, AT_LEAST_1]
