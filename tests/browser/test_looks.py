"""The page at several sizes: accessible, whole, tints in place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.fake_server import FakeServer
from tests.browser.steps import LOOKS, continue_text, looks_right, open_options

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("context", LOOKS, indirect=True)
def test_the_writing_page_is_accessible_and_nothing_is_cut_off(
    page: Any, server: FakeServer
) -> None:
    server.texts = ["copied from the training text, and more of it. " * 8]
    looks_right(page, "#continue")
    page.locator("#text").fill("A line.\n" * 40 + "It is ")
    continue_text(page)
    looks_right(page, "#continue")
    card = page.locator("#alternatives li").first
    end, word = card.bounding_box(), card.locator(".word").bounding_box()
    assert word["x"] + word["width"] <= end["x"] + end["width"]
    # also above the keyboard of a phone the choice is in view
    text = card.locator(".text").bounding_box()
    assert text["height"] > 60
    for part in (text, card.locator("button").first.bounding_box()):
        assert part["y"] >= 60  # under the header and a line of the text
        assert part["y"] + part["height"] <= page.viewport_size["height"] - 60
    open_options(page)
    looks_right(page, "#continue")
    page.get_by_text("More options for the text").click()
    looks_right(page, "#continue")
    for panel in ("[popovertarget=menu]", "#shelf-toggle"):
        page.keyboard.press("Escape")
        page.locator(panel).click()
        looks_right(page, "#continue")
    page.keyboard.press("Escape")
    page.reload()
    page.get_by_role("button", name="Menu", exact=True).click()
    page.get_by_role("button", name="Earlier texts").click()
    page.locator("#copies button, #not-taken button").nth(1).wait_for()
    looks_right(page, "#continue")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+.")
    page.get_by_role("button", name="Characters").wait_for()
    looks_right(page, "#continue")
    page.keyboard.press("Escape")
    server.texts = [f"an entry that is longer than some, {n}" for n in range(40)]
    page.get_by_role("switch", name="List").check()
    looks_right(page)
    page.keyboard.press("Control+Enter")
    page.locator("#list li button").nth(1).click()
    looks_right(page, "#continue")
    page.get_by_role("button", name="Save", exact=True).click()
    looks_right(page)


def test_the_mirror_lies_under_the_text(page: Any) -> None:
    """Check that both wrap their lines alike, so that tints are under their characters."""
    page.set_viewport_size({"width": 360, "height": 740})
    words = "Wörter von verschiedener Länge, \t tabs,  two  blanks, 👩\u200d🚀 and שלום עולם. "
    text = (words * 12 + "\n\n" + "unbroken" * 30 + "\n") * 3
    page.locator("#text").fill(text)
    heights = page.evaluate(
        """() => [document.querySelector("#text").scrollHeight,
                  document.querySelector("#text").clientHeight,
                  document.querySelector(".mirror").clientHeight]"""
    )
    assert len(set(heights)) == 1
