"""The marks in the pages: which command made a block, at which commit, and on which machine.

    <!-- prints | 18eb9d21 on AMD EPYC, 2 cores -->                by the commands above it
    <!-- table: make results | 18eb9d21 on AMD EPYC, 2 cores -->   by this command
    <!-- table: make results, text sizes | ... -->                 by a part of this command

`make release-check` runs this file. It lists the blocks whose commit is no ancestor of HEAD, or
older than the last change of the code that they depend on, and `make dist` refuses them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
_TEXT = ("conf", "charrnn/data.py", "charrnn/text")
_MODELS = (*_TEXT, "charrnn/models", "charrnn/networks", "charrnn/counts", "charrnn/options")
_RUNS = (*_MODELS, "charrnn/training", "charrnn/runs", "charrnn/evaluation")
_SAMPLES = (*_RUNS, "charrnn/generation")
_RESULTS = ("recipes", "text_sizes")
# command -> the files and folders on which its output depends, with those of the model it reads
DEPENDS_ON: dict[str, Sequence[str]] = {
    "preprocess": _TEXT,
    "convert": _MODELS,
    "train": _SAMPLES,
    "evaluate": _RUNS,
    "runs": _RUNS,
    "sample": (*_SAMPLES, "charrnn/extras/novelty"),
    "export": (*_SAMPLES, "charrnn/extras/page"),
    "serve": (*_SAMPLES, "charrnn/extras/serve"),
    "make results": (*_SAMPLES, *(f"benchmarks/{name}.py" for name in _RESULTS)),
    "make bench": (*_SAMPLES, "charrnn", "benchmarks"),
}
_MARK = re.compile(r"^<!-- (?P<kind>prints|runs|table:)(?P<words>[^|>]*)(?:\| (?P<by>.*) )?-->$")
_COMMAND = re.compile(r"^(?:.*\| *)?(?:charrnn (\w+)|(make \w+))", re.MULTILINE)


class Mark(NamedTuple):
    """A mark of a page.

    Attributes:
        commands: keys of `DEPENDS_ON`.
        commit: empty if the block was not made yet.
    """

    page: str
    line: int
    commands: tuple[str, ...]
    commit: str
    machine: str


def find_marks(page: Path) -> Iterator[Mark]:
    """Yield the marks of a page. The commands of printed blocks are in the lines above them."""
    lines = page.read_text("utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if not (match := _MARK.match(line)):
            continue
        if match["kind"] == "table:":
            commands = (match["words"].partition(",")[0].strip(),)
        else:
            start = max(n for n, above in enumerate(lines[:number]) if above == "```sh")
            block = "\n".join(lines[start + 1 : number - 1])
            commands = tuple(a or b for a, b in _COMMAND.findall(block))
        commit, _, machine = (match["by"] or "").partition(" on ")
        yield Mark(str(page.relative_to(REPOSITORY)), number, commands, commit, machine)


def find_pages() -> list[Path]:
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def describe_age(mark: Mark) -> str | None:
    """Return why a block is old; None if it is as new as the code."""
    paths = sorted({path for command in mark.commands for path in DEPENDS_ON[command]})
    if not paths:
        return None  # it only downloads a text
    if not _is_ancestor(mark.commit, "HEAD"):
        return f"{mark.commit or 'no commit'} is not in the history"
    last = _find_last_change(*paths)
    return None if _is_ancestor(last, mark.commit) else f"made before {last} changed the code"


@cache
def _find_last_change(*paths: str) -> str:
    return _git("log", "-1", "--format=%h", "--", *paths).stdout.strip()


@cache
def _is_ancestor(commit: str, other: str) -> bool:
    return bool(commit) and _git("merge-base", "--is-ancestor", commit, other).returncode == 0


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True)


def main() -> int:
    """Print the old blocks, and return 1 if there are any."""
    if _git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        print("release-check: needs a clone with its whole history", file=sys.stderr)
        return 2
    ages = [(mark, describe_age(mark)) for page in find_pages() for mark in find_marks(page)]
    old = [(mark, age) for mark, age in ages if age]
    for mark, age in old:
        print(f"{mark.page}:{mark.line}: {', '.join(mark.commands)}: {age}", file=sys.stderr)
    print(
        f"{len(ages)} blocks, {len(old)} of them old; make docs prints them anew, and make results"
    )
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
