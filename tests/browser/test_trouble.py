"""What the page says and keeps when its server does not do what is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.fake_server import FakeServer
from tests.browser.steps import continue_text, text_of, write

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("status", "said", "shown"),
    [
        (400, "The model does not know “ß”.", "The model does not know “ß”."),
        (429, "slow down", "The server is busy. Try again in a moment."),
        (500, "", "The server cannot do this (status 500)."),
    ],
)
def test_a_refusal_is_said_plainly(
    page: Any, server: FakeServer, status: int, said: str, shown: str
) -> None:
    server.refusal = (status, said)
    page.locator("#text").fill("Straße")
    page.locator("#text").press("Control+Enter")
    assert page.get_by_role("alert").inner_text().strip() == shown
    assert page.locator("#alternatives").is_hidden()
    server.refusal = None
    continue_text(page)
    assert page.get_by_role("alert").is_hidden()


def test_a_connection_that_breaks_keeps_what_came(page: Any, server: FakeServer) -> None:
    server.breaks_after = 5
    page.locator("#text").fill("So")
    page.locator("#text").press("Control+Enter")
    page.get_by_text("The server stopped early.").wait_for()
    assert page.locator("#alternatives .text").first.text_content() == " firs"
    page.keyboard.press("Alt+1")
    assert text_of(page) == "So firs"


def test_a_token_is_asked_for(context: Any, server: FakeServer) -> None:
    server.token = "open sesame"
    page = context.new_page()
    page.goto("/")
    page.locator("#token").fill("open barley")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    page.locator("#token").fill("open sesame")
    page.keyboard.press("Enter")
    page.locator("#model option").first.wait_for(state="attached")
    page.reload()
    write(page, "So")
    assert page.locator("dialog").is_hidden()
    assert "sesame" not in page.evaluate("JSON.stringify(localStorage)")
