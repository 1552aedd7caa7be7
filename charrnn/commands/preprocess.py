"""`charrnn preprocess`: encode a text as ids in HDF5 and a vocabulary in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from charrnn.commands.output import check_output
from charrnn.options.datasets import SplitOptions
from charrnn.options.ranges import PATH
from charrnn.say import escape_unprintable
from charrnn.text.preprocessing import preprocess, resolve_output_paths, say_changes
from charrnn.text.sources import find_files


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
    given = (None if p is None else Path(p) for p in (options.output_h5, options.output_json))
    h5, json = resolve_output_paths(options.input_txt, *given)
    files = find_files(options.input_txt)
    for name, path in {"output_h5": h5, "output_json": json}.items():
        check_output(str(path), *files, option=name)
    data = preprocess(options.input_txt, h5, json, options)
    if not options.quiet:
        say_changes(data, options)
        train, val, test = data.splits.values()
        print(f"Total vocabulary size: {len(data.vocabulary)}")
        print(f"Total tokens in file: {len(train) + len(val) + len(test)}")
        print(f"  Training size: {len(train)}")
        print(f"  Val size: {len(val)}")
        print(f"  Test size: {len(test)}")
        print(f"Using dtype {train.dtype}")
        print(escape_unprintable(f"Wrote {data.path} and {data.json_path}"))
