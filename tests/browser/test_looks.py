"""The page at three widths, light and dark: accessible, whole, and its tints in their places."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.fake_server import FakeServer
from tests.browser.files import watched
from tests.browser.steps import looks_right, write

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 400), (360, 740), (768, 740), (1280, 740)])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    chromium: Any, server: FakeServer, width: int, height: int, scheme: str
) -> None:
    server.texts = ["copied from the training text, and more of it. " * 8]
    # axe is put into the page as a script
    size = {"width": width, "height": height}
    how = {"viewport": size, "color_scheme": scheme, "bypass_csp": True}
    with watched(chromium, server.address, base_url=server.address, **how) as context:
        go_through(context.new_page(), width, height)


def go_through(page: Any, width: int, height: int) -> None:
    def check() -> None:
        looks_right(page)
        button = page.locator("#continue").bounding_box()
        assert button["x"] >= 0
        assert button["x"] + button["width"] <= width
        assert button["y"] + button["height"] <= height

    page.goto("/")
    page.locator("#model option").first.wait_for(state="attached")
    check()
    write(page, "It is ")
    page.get_by_text("more of it").first.wait_for()
    check()
    card, word = (
        page.locator("#alternatives li").first.locator(part).bounding_box()
        for part in (":scope", ".word")
    )
    assert word["x"] + word["width"] <= card["x"] + card["width"]
    if width == 360:
        page.locator("#dials-toggle").click()
    page.get_by_role("button", name="Options").click()
    check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Draft", exact=True).click()
    check()


def test_the_mirror_lies_under_the_text(page: Any) -> None:
    """Both wrap their lines at the same places, so that tints lie under their characters."""
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


@pytest.mark.parametrize("height", [340, 400])
def test_above_a_phones_keyboard_the_choice_is_in_view(
    page: Any, server: FakeServer, height: int
) -> None:
    page.set_viewport_size({"width": 360, "height": height})
    server.texts = ["A continuation that goes on for a while. " * 9]
    page.locator("#text").fill("A line.\n" * 40)
    page.locator("#text").press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    text = page.locator("#alternatives .text").first.bounding_box()
    assert text["height"] > 60
    for part in (text, page.get_by_role("button", name="Take continuation 1").bounding_box()):
        assert part["y"] >= 60  # under the header and a line of the text
        assert part["y"] + part["height"] <= height - 60  # above the button that asks for others
