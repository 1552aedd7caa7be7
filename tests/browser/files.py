"""Pages that are files, opened in the browser as by a double click."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def opened(chromium: Any, path: Path, *, first: str = "", **how: Any) -> Iterator[Any]:
    """A window on a file, in which nothing may go wrong.

    Nothing is asked of any address, nothing breaks the page's policy, no error is uncaught.

    Args:
        first: a script that runs before those of the page.
        how: as of Playwright's `new_context`.
    """
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **how})
    context.set_default_timeout(10_000)
    wrong: list[str] = []
    address = path.resolve().as_uri()
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda message: wrong.append(message.text))
    context.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else wrong.append(f"asked for {request.url}")
        ),
    )
    page = context.new_page()
    page.add_init_script(first)
    page.goto(address)
    yield page
    context.close()
    assert wrong == []
