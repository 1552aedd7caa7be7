"""Windows of the browser in which nothing may go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def watched(chromium: Any, address: str, **how: Any) -> Iterator[Any]:
    """A window with a storage of its own, for pages of one address.

    Nothing is asked of another, nothing breaks the page's policy, no error is uncaught.

    Args:
        how: as of Playwright's `new_context`.
    """
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **how})
    context.set_default_timeout(10_000)
    wrong: list[str] = []

    def on_request(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            wrong.append(f"asked for {request.url}")

    def on_console(message: Any) -> None:
        if address.startswith("file:") or "Content Security Policy" in message.text:
            wrong.append(message.text)

    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("request", on_request)
    context.on("console", on_console)
    yield context
    context.close()
    assert wrong == []


@contextmanager
def opened(chromium: Any, path: Path, *, first: str = "", **how: Any) -> Iterator[Any]:
    """A page that is a file, opened as by a double click.

    Args:
        first: a script that runs before those of the page.
    """
    address = path.resolve().as_uri()
    with watched(chromium, address, **how) as context:
        page = context.new_page()
        page.add_init_script(first)
        page.goto(address)
        yield page
