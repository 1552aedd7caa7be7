"""Which sites may ask: a browser sends what any page tells it to, to this machine too."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers


def allowed_hosts(host: str, cors: Sequence[str]) -> list[str]:
    """The names under which a server answers that only this machine reaches.

    A page from elsewhere whose name was made to mean 127.0.0.1 after it was loaded (DNS
    rebinding) is this server's own to a browser; only `Host` shows it.

    Args:
        host: what it is bound to.
        cors: origins whose pages may ask, as browsers name them; `*` is all.
    """
    if "*" in cors:
        return ["*"]
    names = [host, *(urlsplit(origin).hostname or "" for origin in cors if origin[:4] == "http")]
    return ["localhost", "127.0.0.1", "[::1]", *(f"[{n}]" if ":" in n else n for n in names)]


def comes_from_elsewhere(headers: Headers, cors: Sequence[str]) -> bool:
    """Whether the page of another site has started a request; whoever is no browser may ask."""
    # an image or a link has no Origin, and over http to another machine nothing but a Referer
    source = urlsplit(headers.get("origin") or headers.get("referer", ""))
    if "*" in cors or f"{source.scheme}://{source.netloc}".lower() in map(str.lower, cors):
        return False
    if site := headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    return source.geturl() != "" and source.netloc != headers.get("host")
