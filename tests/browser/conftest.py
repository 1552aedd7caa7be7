"""A headless Chromium and the page in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import ARGUMENTS
from tests.browser.fake_server import FakeServer, serving
from tests.browser.files import watched


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """The system's Chromium, driven by Playwright.

    Playwright keeps an event loop running in the main thread, under which nothing of another folder
    may run: it ends with the last test of this one.
    """
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("needs Chromium; make test-browser installs it where apt can")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(FakeServer()) as server:
        yield server


@pytest.fixture
def context(chromium: Any, server: FakeServer) -> Iterator[Any]:
    with watched(chromium, server.address, base_url=server.address) as context:
        yield context


@pytest.fixture
def page(context: Any) -> Any:
    page = context.new_page()
    page.goto("/")
    page.locator("#model option").first.wait_for(state="attached")
    return page
