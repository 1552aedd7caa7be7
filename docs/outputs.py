"""`make docs`: runs the commands that the pages show, and writes what they print where it stands.

    ```sh
    charrnn evaluate
    ```
    <!-- prints -->
    ```
    val: 111538 characters ...
    ```

The comment may say more: `prints stdout`, without what goes to standard error; `prints first=9
last=7`, these lines of it; `runs`, for commands whose output is not shown. `make docs` adds the
commit, the machine and a hash of commands and output, by which a test sees what was edited by hand.
README.md comes first; every other page begins in a copy of the folder that it leaves, so that its
model is the newest, with the first 100,000 characters of the corpus in my.txt. Pages may be named:
`make docs ARGS="docs/sampling.md"`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
WORK = REPOSITORY / "build" / "docs"
FIRST = "README.md"
RUN = "outputs/train/$(date +%Y-%m-%d/%H-%M-%S)"
INSTEAD = {
    "make train": f"run={RUN}; charrnn train hydra.run.dir=$run && "
    "charrnn sample length=500 checkpoint=$run"
}
BLOCK = re.compile(
    r"^```sh\n(?P<commands>(?:(?!^```).*\n)*?)```\n<!-- (?P<kind>prints|runs)(?P<words>[^|>]*?)"
    r"(?: \| (?P<made>[^>]*))? -->\n(?:```\n(?P<output>(?:(?!^```).*\n)*?)```\n)?",
    re.MULTILINE,
)


@dataclass
class Shown:
    """Commands with the output that a page shows of them."""

    match: re.Match[str]

    @property
    def hash(self) -> str:
        shown = self.match["commands"] + (self.match["output"] or "")
        return hashlib.sha256(shown.encode()).hexdigest()[:12]

    @property
    def is_as_made(self) -> bool:
        return (self.match["made"] or "").endswith(self.hash)


def blocks(page: Path) -> Iterator[Shown]:
    return map(Shown, BLOCK.finditer(page.read_text("utf-8")))


def pages() -> list[str]:
    """Those that show output, README.md first."""
    below = sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))
    return [name for name in (FIRST, *below) if any(blocks(REPOSITORY / name))]


def make(name: str, by: str) -> None:
    """Run the commands of a page in its own folder, and write it anew."""
    folder = WORK / Path(name).stem
    shutil.rmtree(folder, ignore_errors=True)
    if name == FIRST:
        folder.mkdir(parents=True)
    else:
        shutil.copytree(WORK / Path(FIRST).stem, folder, symlinks=True)
    page = REPOSITORY / name

    def made(match: re.Match[str]) -> str:
        printed = _printed(match["commands"], folder, "stdout" in match["words"])
        limits = dict(re.findall(r"(first|last)=(\d+)", match["words"]))
        output = _shortened(printed, int(limits.get("first", 0)), int(limits.get("last", 0)))
        shown = "" if match["kind"] == "runs" else f"```\n{output}```\n"
        head = f"```sh\n{match['commands']}```\n<!-- {match['kind']}{match['words']}"
        (block,) = map(Shown, BLOCK.finditer(f"{head} | new -->\n{shown}"))
        return f"{head} | {by}, {block.hash} -->\n{shown}"

    page.write_text(BLOCK.sub(made, page.read_text("utf-8")), "utf-8")
    if name == FIRST:
        from charrnn.text.corpora import fetch_corpus

        corpus = fetch_corpus("shakespeare", print).read_text("utf-8")
        (folder / "my.txt").write_text(corpus[:100_000], "utf-8")


def _printed(commands: str, folder: Path, only_stdout: bool) -> str:
    for shown, run in INSTEAD.items():
        commands = commands.replace(shown, run)
    print(f"{folder.name}: {commands.strip()}", flush=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if only_stdout else subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{commands}ended with {done.returncode}:\n{done.stdout}{done.stderr or ''}")
    text = done.stdout.replace(f"{folder}/", "").replace(str(Path.home()), "~")
    return text if text.endswith("\n") or not text else f"{text}\n"


def _shortened(text: str, first: int, last: int) -> str:
    lines = text.splitlines(keepends=True)
    if (not first and not last) or len(lines) <= first + last + 1:
        return text
    return "".join([*lines[:first], "...\n", *lines[len(lines) - last :]])


def main(named: list[str]) -> None:
    from benchmarks.machine import description

    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY)
    by = f"{commit.decode().strip()} on {description()['processor']}"
    for name in pages():
        if not named or name in named or (name == FIRST and not (WORK / "README").is_dir()):
            make(name, by)


if __name__ == "__main__":
    main(sys.argv[1:])
