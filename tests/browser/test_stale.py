"""Continuations belong to the text that they go on from, and fit what follows it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.fake_server import FakeServer
from tests.browser.steps import text_of, until, write

pytestmark = pytest.mark.browser


def test_what_goes_on_from_another_text_cannot_be_taken(page: Any, server: FakeServer) -> None:
    server.texts = ["is on!"]
    write(page, "My heart is ")
    page.keyboard.type("not ")
    page.get_by_text("The text has changed").wait_for()
    page.keyboard.press("Alt+1")
    assert text_of(page) == "My heart is not "
    for button in page.locator("#alternatives .choices button").all():
        assert button.is_disabled()
    page.locator("#alternatives .text").first.click()
    assert text_of(page) == "My heart is not "

    page.keyboard.press("Control+Enter")
    until(lambda: len(server.asked) == 2)
    page.get_by_text("characters a second").wait_for()
    page.keyboard.press("Alt+1")
    assert text_of(page) == "My heart is not is on!"


def test_they_end_at_a_sentence_or_a_word(page: Any, server: FakeServer) -> None:
    server.texts = [
        " and when the rain fell, it fi",
        " and when the rain fell, it was cold. An",
        "a" * 60,
    ]
    write(page, "So")
    assert page.locator("#alternatives .text").all_text_contents() == [
        " and when the rain fell, it",
        " and when the rain fell, it was cold.",
        "a" * 60,
    ]
    page.locator("#alternatives-count").evaluate("field => { field.value = 1; }")
    write(page, "")
    assert text_of(page) == "So and when the rain fell, it"
    page.keyboard.press("Control+z")
    assert text_of(page) == "So"


def test_what_follows_is_respected(page: Any, server: FakeServer) -> None:
    """Blanks are not doubled, and what leads best into the rest comes first."""
    server.texts = ["far away over th", "at last to the isl", "nowhere "]
    server.score_of = lambda prompt: -1.0 if "at last to the and" in prompt else -3.0
    page.locator("#text").fill("They sailed and were happy.")
    page.locator("#text").evaluate("field => field.setSelectionRange(12, 12)")
    page.locator("#text").press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    scored = [asked["prompt"] for asked in server.asked if asked.get("echo")]
    assert scored[0] == "They sailed far away over and were happy."
    assert page.locator("#alternatives .text").first.text_content() == "at last to the "
    page.keyboard.press("Alt+1")
    assert text_of(page) == "They sailed at last to the and were happy."

    page.locator("#text").fill("They sailed and were happy.")
    page.locator("#text").evaluate("field => field.setSelectionRange(11, 11)")
    server.texts = [" nowhere ", " nowhere else ", " far"]
    page.locator("#text").press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    page.keyboard.press("Alt+1")
    assert text_of(page) == "They sailed nowhere and were happy."


def test_unknown_characters_are_told(page: Any, server: FakeServer) -> None:
    server.read_as = {"”": '"', "\t": " ", "€": ""}
    page.locator("#text").fill("Caf”,\t3 €")
    page.get_by_text('” is read as ", tab is read as blank, € is not read').wait_for()
    page.locator("#text").fill("Caf")
    until(lambda: page.locator("#unknown").text_content() == "")
