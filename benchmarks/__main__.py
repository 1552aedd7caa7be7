"""`python -m benchmarks [SECTION ...]`: measure, print one table, and write it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.measuring import FULL, QUICK, TINY, Effort
from benchmarks.sections import SECTIONS, section
from benchmarks.workplace import REPOSITORY, Workplace

EFFORTS = {"full": FULL, "quick": QUICK, "tiny": TINY}


def main(words: list[str] | None = None) -> int:
    """Run sections; the table goes to standard output, what happens to standard error."""
    options = _parser().parse_args(words)
    effort = EFFORTS["quick" if options.quick else "tiny" if options.tiny else "full"]
    docs = REPOSITORY / "docs"
    output = docs if options.docs else options.output
    prefix = "performance" if options.docs else "benchmarks"
    names = options.sections or list(SECTIONS)
    everything = measure(names, effort, options.text, output / f"{prefix}.json", options.folder)
    if options.docs:
        report.replace_table(docs / "performance.md", everything)
    else:
        tables = f"{report.machines(everything)}\n\n{report.markdown(everything)}"
        (output / f"{prefix}.md").write_text(tables, encoding="utf-8")
    print(report.markdown({name: everything[name] for name in SECTIONS if name in names}))
    return 0


def measure(
    names: list[str], effort: Effort, text: Path | None, results: Path, folder: Path | None
) -> dict[str, dict[str, Any]]:
    """Measure sections one after another; each is in the JSON file as soon as it is done."""
    everything: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="charrnn-bench-", dir=folder) as work:
        place = Workplace(Path(work), effort, text)
        for name in names:
            began = time.perf_counter()
            print(f"{name} ...", file=sys.stderr, flush=True)
            part = section(name)(place)
            everything = report.update(results, name, part)
            took = time.perf_counter() - began
            print(f"{name}: {took:.0f} s", file=sys.stderr, flush=True)
    return everything


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    parser.add_argument(
        "--tiny", action="store_true", help="to see that it runs; figures mean nothing"
    )
    parser.add_argument("--text", type=Path, help="the corpus; default: tiny-shakespeare")
    parser.add_argument(
        "--output",
        type=Path,
        default=REPOSITORY / "outputs" / "benchmarks",
        help="folder of the results; default: outputs/benchmarks",
    )
    parser.add_argument("--docs", action="store_true", help="into docs/performance.md instead")
    parser.add_argument("--folder", type=Path, help="where to work; it needs 10 GB for a full run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
