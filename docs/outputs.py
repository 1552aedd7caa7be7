"""`make docs`: run the commands in the pages, and write their output into the pages.

    ```sh
    charrnn evaluate
    ```
    <!-- prints -->
    ```
    val: 111538 characters ...
    ```

The comment has options: `prints stdout` leaves out standard error, `prints first=9 last=7` keeps
only these lines, and `runs` shows no output. `make docs` adds the commit and the machine
(marks.py), and says which blocks have changed. README.md runs first, in a folder with a text and
the model of `make train`. Every other page runs in a copy of README's folder, with its last model
as the newest. To run only some pages: `make docs ARGS="docs/sampling.md"`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
WORK = REPOSITORY / "build" / "docs"
FIRST = "README.md"
BLOCK = re.compile(
    r"^```sh\n(?P<commands>(?:(?!^```).*\n)*?)```\n<!-- (?P<kind>prints|runs)(?P<words>[^|>]*?)"
    r"(?: \| (?P<made>[^>]*))? -->\n(?:```\n(?P<output>(?:(?!^```).*\n)*?)```\n)?",
    re.MULTILINE,
)


def find_blocks(page: Path) -> Iterator[re.Match[str]]:
    """Yield the blocks of commands in a page, with the groups of `BLOCK`."""
    return BLOCK.finditer(page.read_text("utf-8"))


def find_pages() -> list[str]:
    """Return the pages with blocks, README.md first."""
    names = sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))
    return [name for name in (FIRST, *names) if any(find_blocks(REPOSITORY / name))]


def update_page(name: str, by: str) -> None:
    """Run the commands of a page in a new folder, and write their output into the page."""
    folder = WORK / Path(name).stem
    shutil.rmtree(folder, ignore_errors=True)
    if name == FIRST:
        folder.mkdir(parents=True)
        write_text(folder)
        run_commands("charrnn train", folder, only_stdout=False)
    else:
        shutil.copytree(WORK / Path(FIRST).stem, folder, symlinks=True)
    page = REPOSITORY / name

    def replace_block(match: re.Match[str]) -> str:
        printed = run_commands(match["commands"], folder, "stdout" in match["words"])
        limits = dict(re.findall(r"(first|last)=(\d+)", match["words"]))
        output = _shorten(printed, int(limits.get("first", 0)), int(limits.get("last", 0)))
        output = "" if match["kind"] == "runs" else output
        shown = output and f"```\n{output}```\n"
        if output != (match["output"] or ""):
            print(f"{name}: the output has changed", flush=True)
        head = f"```sh\n{match['commands']}```\n<!-- {match['kind']}{match['words']}"
        return f"{head} | {by} -->\n{shown}"

    page.write_text(BLOCK.sub(replace_block, page.read_text("utf-8")), "utf-8")


def write_text(folder: Path) -> None:
    """Write my.txt: 100,000 characters of plays."""
    from charrnn.text.corpora import fetch_corpus

    corpus = fetch_corpus("shakespeare").read_text("utf-8")
    (folder / "my.txt").write_text(corpus[:100_000], "utf-8")


def run_commands(commands: str, folder: Path, only_stdout: bool) -> str:
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


def _shorten(text: str, first: int, last: int) -> str:
    lines = text.splitlines(keepends=True)
    if (not first and not last) or len(lines) <= first + last + 1:
        return text
    return "".join([*lines[:first], "...\n", *lines[len(lines) - last :]])


def main(named: list[str]) -> None:
    from benchmarks.machine import describe_origin

    for name in find_pages():
        if not named or name in named or (name == FIRST and not (WORK / "README").is_dir()):
            update_page(name, describe_origin())


if __name__ == "__main__":
    main(sys.argv[1:])
