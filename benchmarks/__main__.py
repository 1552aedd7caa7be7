"""`python -m benchmarks [--quick] [SECTION ...]`: measure, print a table, write it as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import FULL, QUICK, TINY
from benchmarks.report import machine, markdown
from benchmarks.sections import SECTIONS, Corpus


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
    parser.add_argument("--tiny", action="store_true", help="only to see that it runs")
    parser.add_argument("--text", type=Path, help="the text to train on; default: shakespeare")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"))
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"{unknown[0]}: no such section; there are {', '.join(SECTIONS)}")
    effort = TINY if options.tiny else QUICK if options.quick else FULL
    rows = []
    with tempfile.TemporaryDirectory(prefix="charrnn-benchmarks-") as folder:
        corpus = Corpus.prepared(options.text, Path(folder))
        for name in options.sections or SECTIONS:
            print(f"measuring {name}", file=sys.stderr, flush=True)
            rows += SECTIONS[name](corpus, effort)
    table = markdown(rows)
    print(table)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "table.md").write_text(table)
    content = {
        "machine": machine(),
        "text": corpus.name,
        "effort": dataclasses.asdict(effort),
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    (options.output / "table.json").write_text(json.dumps(content, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
