"""A headless browser and the page in it: Chromium, or what TEST_BROWSER names (firefox, say)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.fake_server import FakeServer, serving
from tests.browser.steps import ARGUMENTS, wait_for_models, watch_window


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
def server() -> Iterator[FakeServer]:
    with serving(FakeServer()) as server:
        yield server


@pytest.fixture
def context(chromium: Any, server: FakeServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    look = getattr(request, "param", {})
    with watch_window(chromium, server.address, base_url=server.address, **look) as context:
        yield context


@pytest.fixture
def page(context: Any) -> Any:
    page = context.new_page()
    page.goto("/")
    wait_for_models(page)
    return page
