"""The page at several sizes: accessible, whole, tints in place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.steps import LOOKS, continue_text, fake, looks_right

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("context", LOOKS, indirect=True)
def test_the_writing_page_is_accessible_and_nothing_is_cut_off(page: Any) -> None:
    looks_right(page, "#continue")
    fake(page, texts=["copied from the training text, and more of it. " * 8])
    page.locator("#text").fill("A line.\n" * 40 + "It is ")
    continue_text(page)
    looks_right(page, "#continue")
    # also above the keyboard of a phone the choice is in view
    card = page.locator("#alternatives li").first
    text = card.locator(".text").bounding_box()
    assert text["height"] > 50
    for part in (text, card.locator("button").bounding_box()):
        assert part["y"] >= 60  # under the header and a line of the text
        assert part["y"] + part["height"] <= page.viewport_size["height"] - 60
    for panel in ("[popovertarget=more]", "#shelf-toggle"):
        page.locator(panel).click()
        looks_right(page, "#continue")
        page.keyboard.press("Escape")
    page.locator("#text").press("Control+.")
    page.locator("#word-menu li").first.wait_for()
    looks_right(page, "#continue")
    page.keyboard.press("Escape")
    fake(page, texts=[f"an entry that is longer than some, {n}" for n in range(40)])
    page.get_by_role("switch", name="List").check()
    looks_right(page)
    page.keyboard.press("Control+Enter")
    page.locator("#list li label").nth(1).click()
    looks_right(page, "#continue")
