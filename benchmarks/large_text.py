"""Measure a large text: `python -m benchmarks.large_text [--bytes 1e9] [--steps 200]`.

Each row of the table is a command, with its processor time (of all its processes), its wall time,
and the peak memory of a process, which includes the parts of mapped files that it has read. A row
below another one does the same and more, so the difference is the cost of a step, of a validation,
or of a second process. Other programs slow down the wall time, so the table ends with the load.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.measuring import FULL
from benchmarks.recipes import format_markdown
from benchmarks.workplace import Workplace

# None of these commands validates, except the one that says so.
QUIET = ("validate_every=0", "callbacks.counts.characters=0", "callbacks.samples.length=0")
SMALL_BYTES = 1_000_000


def main(words: Sequence[str] | None = None) -> int:
    """Write the texts, run the commands, and print the table to standard output."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_text", description=__doc__)
    parser.add_argument("--bytes", type=float, default=1e9, help="the size of the text")
    parser.add_argument("--steps", type=int, default=200, help="the steps of a training")
    parser.add_argument("--folder", type=Path, help="a folder with room for seven such texts")
    options = parser.parse_args(words)
    size = int(options.bytes)
    with tempfile.TemporaryDirectory(prefix="charrnn-large-", dir=options.folder) as folder:
        workplace = Workplace(Path(folder), FULL)
        if shutil.disk_usage(folder).free < 7 * size:
            parser.error(f"--folder={folder}: has no room for a text of {size:,} bytes")
        print(format_markdown(measure(workplace, size, options.steps)))
    machine, load = describe_machine(), os.getloadavg()[0]
    print(f"\nMeasured on {machine['processor']}, torch {machine['torch']}, at load {load:.1f}.")
    return 0


def measure(workplace: Workplace, size: int, steps: int) -> list[list[str]]:
    """Return the rows of the table."""
    folder, rows = (
        workplace.folder,
        [["command", "processor", "wall", "memory"], ["---", *["---:"] * 3]],
    )

    def run(what: str, *command: str) -> None:
        start = _get_processor_seconds()
        ended = workplace.charrnn(*command)
        seconds = _get_processor_seconds() - start
        memory = ended.peak_bytes / 1e6
        rows.append([what, f"{seconds:.1f} s", f"{ended.seconds:.1f} s", f"{memory:,.0f} MB"])
        print(*rows[-1], sep=", ", file=sys.stderr, flush=True)

    for name, length in (("small", min(size, SMALL_BYTES)), ("large", size)):
        write_text(folder / f"{name}.txt", workplace.text, length)
        run(f"preprocess, {length / 1e6:,.0f} MB", "preprocess", f"input_txt={name}.txt")
        data = (f"data.input_h5={name}.h5", f"data.input_json={name}.json")
        train = ("train", *data, "trainer=cpu", *QUIET)
        one, more = "trainer.max_steps=1", f"trainer.max_steps={steps + 1}"
        run("train, 1 step", *train, one)
        run(f"train, {steps + 1} steps", *train, more, "hydra.run.dir=run-" + name)
    run("the same in two processes", *train, more, "trainer.devices=2")
    run(f"train, {steps + 1} steps, validation, counts", "train", *data, "trainer=cpu", more)
    run("resume, 1 step", "train", "resume=run-large", f"trainer.max_steps={steps + 2}")
    run("train from the text, 1 step", "train", "large.txt", "trainer=cpu", *QUIET, one)
    return rows


def write_text(path: Path, source: Path, size: int) -> None:
    """Write about `size` characters: the paragraphs of a text, again and again in another order."""
    paragraphs, dice, written = (
        source.read_text(encoding="utf-8").split("\n\n"),
        random.Random(1),
        0,
    )
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            dice.shuffle(paragraphs)
            written += file.write("\n\n".join(paragraphs)[: size - written])


def _get_processor_seconds() -> float:
    """Return the processor time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
