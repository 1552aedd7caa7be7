"""`python -m benchmarks [SECTION ...]`: measure, print the tables, and write them to a file.

A run of all sections, on the default corpus, also writes them into docs/results.md, without the
bars.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.measuring import FULL, QUICK, TINY
from benchmarks.report import PAGE, format_table, remove_bars, write_table
from benchmarks.sections import SECTIONS, get_section
from benchmarks.workplace import REPOSITORY, Workplace


def main(words: list[str] | None = None) -> int:
    """Run sections. Print the tables to standard output, and progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join(SECTIONS)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{names}; default: all")
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    parser.add_argument("--tiny", action="store_true", help="only a test of the code")
    parser.add_argument("--text", type=Path, help="a corpus instead of tiny-shakespeare")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "outputs" / "benchmarks")
    parser.add_argument("--folder", type=Path, help="for temporary files; 10 GB for a full run")
    options = parser.parse_args(words)
    # The paths are absolute, because the commands run in another folder.
    corpus = options.text and options.text.resolve()
    effort = QUICK if options.quick else TINY if options.tiny else FULL
    options.output.mkdir(parents=True, exist_ok=True)
    facts = "; ".join(f"{name} {value}" for name, value in describe_machine().items())
    parts = [f"Measured on {facts}."]
    with tempfile.TemporaryDirectory(prefix="charrnn-bench-", dir=options.folder) as work:
        workplace = Workplace(Path(work).resolve(), effort, corpus)
        for name in options.sections or list(SECTIONS):
            start_time = time.perf_counter()
            parts.append(f"### {SECTIONS[name]}\n\n{format_table(get_section(name)(workplace))}")
            took = time.perf_counter() - start_time
            print(f"{name}: {took:.0f} s", file=sys.stderr, flush=True)
            # Write after each section, so that an interrupted run keeps its results.
            text = "\n\n".join(parts)
            (options.output / "benchmarks.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    if effort is FULL and not options.sections and corpus is None:
        write_table(PAGE, "bench", remove_bars(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
