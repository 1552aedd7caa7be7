"""`charrnn convert`: a .ckpt or torch-rnn's .t7 becomes a model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.errors import InputError
from charrnn.options.ranges import PATH, Range
from charrnn.say import say

CONVERTED = Range(
    lambda value: value.endswith(".safetensors"),
    "must end in .safetensors (a model file); `charrnn export` writes pages",
)


@dataclass
class ConvertOptions:
    input: Annotated[str, PATH]
    output: Annotated[str, PATH, CONVERTED]


OPTIONS = ConvertOptions
FIRST_WORD = "input"


def run(options: ConvertOptions) -> None:
    """Write the model of `input` to the model file `output`."""
    from charrnn.model import load
    from charrnn.models import find_model as find

    source, output = find(options.input), Path(options.output)
    if output.exists() and output.samefile(source):
        raise InputError(f"output={options.output}: is the input itself; name another file")
    model = load(source)
    model.save(output)
    size = sum(weight.size for weight in model.trained.members[0].weights.values())
    say(f"wrote {output}: {model}, {size:,} numbers")
