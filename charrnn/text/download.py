"""One file from an address, or a line that says why not."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from charrnn.errors import InputError, RunError, reason_of, shown
from charrnn.options.datasets import url_problem

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
