"""What else could stand at a place of the text, and branching from there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.fake_server import FakeServer
from tests.browser.steps import click_character, text_of, until, write

pytestmark = pytest.mark.browser


def test_a_click_shows_the_others_and_one_branches(page: Any, server: FakeServer) -> None:
    server.score_of = lambda prompt: -1.0  # all lead as well into what follows
    write(page, "Once")
    page.keyboard.press("Alt+2")
    page.keyboard.type(" And")
    click_character(page, 6)
    page.get_by_text("“e” was 61 % likely").wait_for()
    assert server.looked_at == ["Once s"]
    others = page.locator("#character-menu button")
    assert [text.split() for text in others.all_inner_texts()] == [
        ["space", "22", "%"],
        ["“a”", "5", "%"],
    ]
    page.get_by_role("button", name="“a”").click()
    assert text_of(page) == "Once sa And"  # what was typed stays
    page.get_by_text("characters a second").wait_for()
    assert [asked["prompt"] for asked in server.asked if "n" in asked] == ["Once", "Once sa"]
    page.keyboard.press("Alt+1")
    until(lambda: text_of(page) == "Once sa first words. And")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert text_of(page) == "Once second one. And"


def test_by_keyboard(page: Any, server: FakeServer) -> None:
    page.locator("#alternatives-count").evaluate("field => { field.value = 1; }")
    server.texts = ["e end. "]
    page.keyboard.type("The")
    page.keyboard.press("Control+.")
    page.get_by_text("“e” was 61 % likely").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.type("y")  # the text has the focus again
    page.keyboard.press("Control+.")
    page.get_by_text("“y” was unlikely here").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_text("characters a second").wait_for()
    assert text_of(page) == "Thea" + "e end."
    page.keyboard.press("Control+z")  # in one step: the choice and what was written after it
    assert text_of(page) == "They"


def test_it_goes_when_one_types_and_can_be_switched_off(page: Any, server: FakeServer) -> None:
    page.locator("#text").fill("Once upon")
    click_character(page, 2)
    page.locator("#character-menu").wait_for()
    page.keyboard.type("x")
    assert page.locator("#character-menu").is_hidden()
    page.get_by_role("button", name="Options").click()
    page.get_by_label("Click to change a character").uncheck()
    page.keyboard.press("Escape")
    click_character(page, 2)
    page.wait_for_timeout(300)
    assert page.locator("#character-menu").is_hidden()
    assert len(server.looked_at) == 1
