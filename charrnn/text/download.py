"""One file from an address, or a line that says why not."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from charrnn.errors import InputError, RunError

_TIMEOUT = 30  # seconds without an answer
_LIMIT = 64 << 20  # bytes: more than any corpus that is fetched
_PIECE = 1 << 16


def download(url: str, new: Path, hint: str) -> None:
    """Write what an address holds to `new`.

    Args:
        url: http, https or file, or the path of a file.
        hint: what the error line says besides the address and the reason.

    Raises:
        InputError: the path does not exist, or the address is of another kind.
        RunError: it cannot be reached, refuses, breaks off, or holds far too much.
    """
    scheme = urlsplit(url).scheme
    # a file may have a colon in its name
    if scheme not in ("http", "https", "file") and (not scheme or Path(url).exists()):
        url_or_file = Path(url).absolute().as_uri()
        if not Path(url).is_file():
            raise InputError(f"{url}: no such file; {hint}")
    elif scheme in ("http", "https", "file"):
        url_or_file = url
    else:
        raise InputError(f"{url}: neither an http(s) or file address nor a file; {hint}")
    try:
        with urllib.request.urlopen(url_or_file, timeout=_TIMEOUT) as source:
            announced = source.headers.get("Content-Length")
            with open(new, "wb") as target:
                received = 0
                while data := source.read(_PIECE):
                    received += len(data)
                    if received > _LIMIT:
                        raise RunError(f"{url}: more than {_LIMIT >> 20} MB; {hint}")
                    target.write(data)
    except urllib.error.HTTPError as error:
        error.close()
        raise RunError(f"{url}: answers {error.code} {error.reason}; {hint}") from None
    except urllib.error.URLError as error:
        raise RunError(f"{url}: cannot be reached ({_reason(error.reason)}); {hint}") from None
    except (http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        raise RunError(f"{url}: breaks off ({_reason(error)}); {hint}") from None
    if announced is not None and announced.isdigit() and received < int(announced):
        raise RunError(f"{url}: ends after {received} of {announced} bytes; {hint}")


def _reason(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
