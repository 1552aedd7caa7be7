"""What may be asked for where a text comes from and how it is split; imports nothing heavy.

Each check raises an InputError that names the option, with the prefix that it has where it
was given: ``data.val_frac=`` in training, ``val_frac=`` in `charrnn preprocess`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from charrnn.errors import InputError, shown
from charrnn.options.ranges import ENCODING, SEED, one_of, require

SPLITS = ("train", "val", "test")
LINES = one_of("auto", "keep", "shuffle")


def require_fractions(prefix: str, val_frac: float, test_frac: float) -> None:
    for name, fraction in (("val_frac", val_frac), ("test_frac", test_frac)):
        if not isinstance(fraction, (int, float)) or not 0 <= fraction < 1:
            raise InputError(f"{prefix}{name}={shown(fraction)}: must be at least 0 and below 1")
    if val_frac + test_frac >= 1:
        raise InputError(
            f"{prefix}val_frac={val_frac} {prefix}test_frac={test_frac}: together they must be "
            "below 1, so that a part is left to train on"
        )


def require_encoding(option: str, encoding: str) -> None:
    """A text encoding that Python knows both ways, or ``bytes``."""
    require(ENCODING.admits(encoding), option, encoding, ENCODING.demand)


def require_lines(prefix: str, lines: str, seed: int) -> None:
    require(LINES.admits(lines), f"{prefix}lines", lines, LINES.demand)
    is_seed = isinstance(seed, int) and SEED.admits(seed)
    require(is_seed, f"{prefix}lines_seed", seed, SEED.demand)


def require_path(option: str, path: str | os.PathLike[str] | None) -> None:
    if path is not None and "\0" in os.fspath(path):
        raise InputError(f"{option}={shown(path)}: holds a NUL, which no path can")


def require_paths(option: str, value: Any) -> None:
    """A path, several of them, or None."""
    names = value if isinstance(value, (list, tuple)) and value else [value]
    if value is not None and not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{option}={shown(value)}: takes a path or a list of paths: [a.txt,b.txt]")
    for name in names:
        require_path(option, name)


def require_h5_pair(prefix: str, h5: str | None, json: str | None, txt: Any) -> None:
    """An HDF5 file comes with its JSON, and not with a text."""
    if (h5 is None) != (json is None):
        given = f"input_h5={shown(h5)}" if json is None else f"input_json={shown(json)}"
        raise InputError(
            f"{prefix}{given}: {prefix}input_h5 and {prefix}input_json belong together; give both"
        )
    if h5 is not None and txt is not None:
        raise InputError(
            f"{prefix}input_h5={shown(h5)}: give either this pair or {prefix}input_txt, not both"
        )
    require_path(f"{prefix}input_h5", h5)
    require_path(f"{prefix}input_json", json)


def require_corpus(
    prefix: str, corpus: str | None, url: str | None, sha256: str | None, other: Mapping[str, Any]
) -> None:
    """A named corpus, or a text with its address and checksum; and none beside `other` sources.

    Args:
        other: what else the text may come from, by the option's name without its prefix.
    """
    named = {"corpus": corpus, "url": url, "sha256": sha256}
    first = next((name for name, value in named.items() if value is not None), None)
    if first is None:
        return
    for name, value in other.items():
        if value is not None:
            raise InputError(
                f"{prefix}{first}={shown(named[first])}: {prefix}{name} says where the text is "
                "already; give one of the two"
            )
    problem = None if url is None else url_problem(url)
    if problem is not None:
        raise InputError(f"{prefix}url={shown(url)}: is no address ({problem})")
    if sha256 is None:
        if corpus is None:
            raise InputError(
                f"{prefix}url={shown(url)}: give {prefix}sha256= too, the checksum of what is "
                f"there (`sha256sum FILE` says it), or {prefix}corpus=, the named corpus that it is"
            )
        return
    if corpus is not None:
        raise InputError(
            f"{prefix}sha256={shown(sha256)}: the corpus {shown(corpus)} has a checksum of its "
            f"own; leave {prefix}sha256 or {prefix}corpus out"
        )
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise InputError(
            f"{prefix}sha256={shown(sha256)}: must be 64 hexadecimal digits; `sha256sum FILE` "
            "says them"
        )


def without_default_corpus(
    options: Mapping[str, Any], given: Collection[str], prefix: str = "data."
) -> dict[str, Any]:
    """Options of the data without the corpus that a default names, where another text is given.

    ``data.input_txt=my.txt`` alone means that text, whatever corpus the config names; together
    with ``data.corpus=`` on the command line it would be ambiguous, and is refused.

    Args:
        options: corpus, url, sha256, input_txt and input_h5, and others that are left alone.
        given: the options, with their prefix, that were asked for rather than set by default.
    """
    options = dict(options)
    others = [name for name in ("input_txt", "input_h5") if options.get(name) is not None]
    replaced = ["corpus", "url", "sha256"] if others else []
    if not others and options.get("sha256") is not None:
        replaced = ["corpus"]
    for name in replaced:
        if options.get(name) is not None and f"{prefix}{name}" in given:
            second = others[0] if others else "sha256"
            raise InputError(
                f"{prefix}{name}={shown(options[name])}: {prefix}{second} says which text it is "
                "already; give one of the two"
            )
    return {**options, **{name: None for name in replaced if name in options}}


def url_problem(url: str) -> str | None:
    """What is wrong with an address, as far as can be told without asking for it."""
    from urllib.parse import quote, urlsplit

    if "\0" in url:
        return "it holds a NUL"
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return None  # an address of another kind, or a path
        if not parts.hostname:
            return "it names no host"
        if parts.port == 0:  # reading it raises where it is no number
            return "there is no port 0"
    except ValueError as error:
        return reason_of(error)
    strange = next((c for c in url if not "!" <= c <= "~"), None)
    if strange is None:
        return None
    return f"it holds {strange!r}, which is written {quote(strange, errors='replace')}"


def require_regular_file(path: Path, hint: str) -> os.stat_result:
    """A pipe or a device would be waited for, or never end; so look before anything is opened.

    Args:
        hint: what to do when there is no such file.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{shown(path)}: no such file; {hint}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: cannot be read ({reason_of(error)})") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{shown(path)}: is no regular file; {hint}")
    return status


def reason_of(error: BaseException) -> str:
    """What an error of the system or a library says, in one line that is not long."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return shown(str(text).splitlines()[0])
