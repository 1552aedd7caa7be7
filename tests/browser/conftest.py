"""A headless Chromium and the page in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import ARGUMENTS
from tests.browser.fake_server import FakeServer, serving


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
    """A window with a storage of its own, in which nothing may go wrong.

    Nothing is asked of another address, nothing breaks the page's policy, no error is uncaught.
    """
    context = chromium.new_context(base_url=server.address, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(5000)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("request", lambda request: wrong.extend(_elsewhere(request.url, server.address)))
    context.on("console", lambda message: wrong.extend(_against_policy(message)))
    yield context
    context.close()
    assert wrong == []


@pytest.fixture
def page(context: Any) -> Any:
    page = context.new_page()
    page.goto("/")
    page.locator("#model option").first.wait_for(state="attached")
    return page


def _elsewhere(url: str, address: str) -> list[str]:
    return [] if url.startswith((address, "data:", "blob:")) else [f"asked for {url}"]


def _against_policy(message: Any) -> list[str]:
    return [message.text] if "Content Security Policy" in message.text else []
