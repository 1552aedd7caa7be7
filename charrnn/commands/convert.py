"""`charrnn convert`: convert a .ckpt, or a .t7 of torch-rnn, to a model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.commands.output import check_output
from charrnn.options.ranges import PATH
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

    check_output(options.output, options.input)
    model, output = load(options.input), Path(options.output)
    model.save(output)
    size = model.trained.architecture.num_parameters
    say(f"wrote {output}: {model}, {size:,} parameters")
