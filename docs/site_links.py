"""mkdocs hook: fail if a page of the built site has a link to a missing file or heading."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mkdocs.exceptions import PluginError


class Links(HTMLParser):
    """The addresses to which a page refers, and its ids."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = {"", "__top"}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src"):
                self.addresses.append(value or "")
            elif name == "id" or (name == "name" and tag == "a"):
                self.ids.add(value or "")


read_links = cache(Links)


def is_there(address: str, page: Path, site: Path, base: str) -> bool:
    """Return whether the file and the id of an address exist; True for other sites."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    path = unquote(parts.path)
    if path.startswith("/"):
        target = site / path.removeprefix(base)
    else:
        target = (page.parent / path) if path else page
    target = target / "index.html" if target.is_dir() else target
    if target.suffix != ".html":
        return target.is_file()
    return target.is_file() and unquote(parts.fragment) in read_links(target).ids


def on_post_build(config: Any) -> None:
    site = Path(config.site_dir)
    base = urlsplit(config.site_url or "/").path
    dead = [
        f"{page.relative_to(site)}: {address}"
        for page in sorted(site.rglob("*.html"))
        for address in read_links(page).addresses
        if not is_there(address, page, site, base)
    ]
    if dead:
        raise PluginError("\n".join(["these links lead nowhere:", *dead]))
