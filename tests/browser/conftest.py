"""A headless browser and the page in it: Chromium, or what TEST_BROWSER names (firefox, say)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.steps import ARGUMENTS, wait_until_written, watch_window, write_fake_page


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """Start the system's Chromium, or else the browser of Playwright.

    Playwright keeps an event loop running in the main thread, under which nothing of another folder
    may run: it ends with the last test of this one.
    """
    from playwright.sync_api import Error, sync_playwright

    name = os.environ.get("TEST_BROWSER") or "chromium"
    how: dict[str, Any] = {}
    if name == "chromium":
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        how = {"executable_path": path, "args": list(ARGUMENTS)}
    with sync_playwright() as driver:
        try:
            browser = getattr(driver, name).launch(**how)
        except Error:
            pytest.fail(f"there is no {name} that starts here; make test-browser installs it")
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    look = getattr(request, "param", {})
    address = write_fake_page(tmp_path / "page.html")
    with watch_window(chromium, address, base_url=address, **look) as context:
        yield context


@pytest.fixture
def page(context: Any) -> Any:
    """Open a page whose engine writes what a test tells it to."""
    return open_page(context)


def open_page(context: Any) -> Any:
    page = context.new_page()
    page.goto("")
    wait_until_written(page)
    return page
