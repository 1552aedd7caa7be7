"""The options of `charrnn inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.ranges import (
    PATH,
    UNKNOWN,
    Range,
)

PASSAGE = Range(lambda value: 2 <= value <= 200_000, "must be between 2 and 200000")


@dataclass
class InspectOptions:
    checkpoint: Annotated[str | None, PATH]
    input_txt: Annotated[str | list[str] | None, PATH]
    length: Annotated[int, PASSAGE]
    unknown: Annotated[str, UNKNOWN]
    output: Annotated[str, PATH]
