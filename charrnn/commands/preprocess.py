"""`charrnn preprocess`: encode a text as ids in HDF5 and a vocabulary in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.commands.output import check_output
from charrnn.options.datasets import SplitOptions
from charrnn.options.ranges import PATH
from charrnn.say import escape_unprintable, say
from charrnn.text.preprocessing import preprocess


@dataclass(frozen=True, kw_only=True)
class PreprocessOptions(SplitOptions):
    input_txt: Annotated[str | list[str], PATH]
    output_h5: Annotated[str | None, PATH]
    output_json: Annotated[str | None, PATH]
    quiet: bool


OPTIONS = PreprocessOptions
FIRST_WORD = "input_txt"


def run(options: PreprocessOptions) -> None:
    """Run the preprocessing, and print the same lines as torch-rnn's script."""
    for name in ("output_h5", "output_json"):
        check_output(getattr(options, name), option=name)
    h5, json = (None if p is None else Path(p) for p in (options.output_h5, options.output_json))
    result = preprocess(options.input_txt, h5, json, options)
    if not options.quiet:
        for notice in result.notices:
            say(notice)
        print(f"Total vocabulary size: {len(result.vocabulary)}")
        print(f"Total tokens in file: {sum(result.sizes.values())}")
        print(f"  Training size: {result.sizes['train']}")
        print(f"  Val size: {result.sizes['val']}")
        print(f"  Test size: {result.sizes['test']}")
        print(f"Using dtype {result.dtype}")
        print(escape_unprintable(f"Wrote {result.h5} and {result.json}"))
