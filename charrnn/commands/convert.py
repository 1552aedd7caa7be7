"""`charrnn convert`: convert a .ckpt, or a .t7 of torch-rnn, to a model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.commands.output import check_output
from charrnn.options.ranges import PATH, require
from charrnn.say import say


@dataclass
class ConvertOptions:
    input: Annotated[str, PATH]
    output: Annotated[str, PATH]


OPTIONS = ConvertOptions
FIRST_WORD = "input"


def run(options: ConvertOptions) -> None:
    """Convert the model `input` to the model file `output`."""
    from charrnn.model import load

    output = Path(options.output)
    is_model_file = output.suffix == ".safetensors"
    require(is_model_file, "output", options.output, "is no name of a model file; use .safetensors")
    check_output(options.output, options.input)
    model = load(options.input)
    model.save(output)
    size = model.trained.architecture.num_parameters
    say(f"wrote {output}: {model}, {size:,} parameters")
