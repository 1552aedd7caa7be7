"""`python -m benchmarks [SECTION ...]`: measure, and print the tables.

A run of all sections at full scale, on the default corpus, also writes them into docs/results.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.inputs import Inputs
from benchmarks.machine import describe_machine
from benchmarks.measuring import time_call
from benchmarks.sections import SECTIONS
from benchmarks.tables import PAGE, write_table
from charrnn.text.corpora import fetch_corpus


def main(words: list[str] | None = None) -> int:
    """Run sections. Print the tables to standard output, and progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join(SECTIONS)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{names}; default: all")
    parser.add_argument("--scale", type=float, default=1, help="the share of the full sizes")
    parser.add_argument("--rounds", type=int, default=3, help="the measurements of every part")
    parser.add_argument("--text", type=Path, help="a text instead of the default corpus")
    parser.add_argument("--folder", type=Path, help="for temporary files; 10 GB at full scale")
    options = parser.parse_args(words)
    text = (options.text or fetch_corpus("shakespeare")).resolve()
    facts = "; ".join(f"{name} {value}" for name, value in describe_machine().items())
    parts = [f"Measured on {facts}."]
    print(parts[0])
    with tempfile.TemporaryDirectory(prefix="charrnn-bench-", dir=options.folder) as folder:
        inputs = Inputs(Path(folder).resolve(), text, options.rounds, options.scale)
        print(f"inputs: {time_call(inputs.prepare):.0f} s", file=sys.stderr, flush=True)
        for name in options.sections or SECTIONS:
            title, measure = SECTIONS[name]
            parts.append(f"### {title}\n\n{measure(inputs)}")
            print(f"\n{parts[-1]}", flush=True)
    is_complete = options.scale == 1 and options.rounds >= 3
    if is_complete and not options.sections and options.text is None:
        write_table(PAGE, "bench", "\n\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
