"""The options of `charrnn export`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.ranges import (
    PATH,
    TEXT,
    Range,
    require,
)

ENDINGS = (".html", ".onnx", ".safetensors")
BITS = Range(lambda value: value in (8, 16, 32), "must be 8, 16 or 32 bits")
EXPORTED = Range(
    lambda value: value.endswith(ENDINGS),
    "must end in .html (a page), .onnx or .safetensors (a model file)",
)


@dataclass
class ExportOptions:
    checkpoint: Annotated[str | None, PATH]
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
