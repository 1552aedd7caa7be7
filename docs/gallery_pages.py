"""Train the models of the gallery, and export their pages into build/gallery, for `make site`.

The commands are those of docs/gallery.md, without the samples. The arguments are options that are
added to each training. Nothing is trained if commands and sources are those of the pages there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys

from benchmarks.machine import describe_machine
from outputs import REPOSITORY, find_blocks, run_commands

FOLDER = REPOSITORY / "build" / "gallery"
RECORD = FOLDER / "pages.json"
FOLDERS = ("counts", "evaluation", "models", "networks", "options", "runs", "text", "training")
SOURCES = (
    "conf/**/*.yaml",
    "charrnn/data.py",
    *(f"charrnn/{folder}/**/*.py" for folder in FOLDERS),
    *(f"charrnn/extras/page/**/*.{end}" for end in ("py", "html", "css", "js", "wat")),
)


def list_commands(options: str) -> list[str]:
    """Return the blocks of commands, which begin with the training of README."""
    page = [block["commands"] for block in find_blocks(REPOSITORY / "docs" / "gallery.md")]
    commands = ["charrnn train", *(each for each in page if not each.startswith("charrnn sample"))]
    return [re.sub(r"^charrnn train.*", rf"\g<0> {options}", each) for each in commands]


def compute_key(commands: list[str]) -> str:
    """Return a hash of everything on which the pages depend."""
    paths = sorted(path for pattern in SOURCES for path in REPOSITORY.glob(pattern))
    contents = [path.read_bytes() for path in paths]
    return hashlib.sha256(b"\0".join([*map(str.encode, commands), *contents])).hexdigest()


def main(options: str) -> None:
    """Run the commands, and record how long each training took."""
    commands = list_commands(options)
    key = compute_key(commands)
    if RECORD.is_file() and json.loads(RECORD.read_text())["key"] == key:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    times, trained = {}, ""
    for each in commands:
        printed = run_commands(each, FOLDER, only_stdout=False)
        trained = (re.findall(r"trained in ([\d:]+)", printed) or [trained])[-1]
        times |= dict.fromkeys(re.findall(r"output=(\w+\.html)", each), trained)
    record = {"key": key, "machine": describe_machine()["processor"], "times": times}
    RECORD.write_text(json.dumps(record))


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
