"""Writing with the page: continuations, choosing, undoing, stopping, by mouse and by keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.steps import (
    click_character,
    continue_text,
    fake,
    list_highlighted,
    list_offered,
    list_words,
    press,
    set_option,
    settle,
    soon,
    text_of,
    write,
)

pytestmark = pytest.mark.browser


def test_several_continuations_are_written_and_one_is_taken_and_undone(page: Any) -> None:
    set_option(page, "temperature", "1.2")
    set_option(page, "new_words", "none")
    write(page, "Once")
    asked = fake(page)[-1]
    assert (asked["prompt"], asked["temperature"], asked["n"]) == ("Once", 1.2, 3)
    assert (asked["new_words"], asked["dry_multiplier"]) == (0, 0)
    assert list_offered(page) == [" first words.", " second one.", " a third!"]
    assert text_of(page) == "Once"
    page.get_by_role("button", name="Take continuation 2").click()
    assert text_of(page) == "Once second one."
    soon(lambda: fake(page)[-1:] != [])
    for key, expected in (("z", "Once"), ("Shift+z", "Once second one.")):
        page.keyboard.press(f"Control+{key}")
        assert text_of(page) == expected
    for button, expected in (("Undo", "Once"), ("Redo", "Once second one.")):
        page.get_by_role("button", name=button).click()
        assert text_of(page) == expected
    settle(page)
    page.keyboard.press("Alt+1")
    assert text_of(page) == "Once second one. first words."


def test_stop_keeps_what_was_written(page: Any) -> None:
    fake(page, texts=["la " * 60], delay=20, piece=3)
    set_option(page, "write-along", False)
    set_option(page, "length", "200")
    page.locator("#text").fill("Sing: ")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("la la").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    kept = list_offered(page)
    assert 0 < len(kept[0]) < 180
    page.wait_for_timeout(100)
    assert list_offered(page) == kept


def test_a_part_is_taken_and_nothing_of_a_changed_draft(page: Any) -> None:
    fake(page, texts=[" one two three."])
    write(page, "So")
    click_character(page, 6, "#alternatives .text")
    assert text_of(page) == "So one two"
    fake(page, delay=500)
    page.keyboard.type(" and")
    page.keyboard.press("Alt+1")
    page.locator("#alternatives .text").first.click()
    assert text_of(page) == "So one two and"
    fake(page, delay=40, piece=1)
    for key in ".!":  # while continuations of the draft before are written
        page.locator("#text").press(key)
        page.wait_for_timeout(350 if key == "." else 60)
    page.keyboard.press("Alt+1")
    assert text_of(page) == "So one two and.!"
    fake(page, delay=0, piece=1000)
    settle(page)
    set_option(page, "write-along", False)
    page.locator("#text").press("!")
    assert page.locator("#alternatives").is_hidden()


def test_a_length_is_a_sentence_a_paragraph_or_characters(page: Any) -> None:
    fake(page, texts=[" it rained. Then", " it fell, it was cold\nAnd", "a" * 60])
    write(page, "So")
    assert list_offered(page) == [" it rained.", " it fell, it was cold", "a" * 60]
    fake(page, texts=[" It rained.\nIt fell.\n\nThen", f"{'so ' * 50}\nAnd"])
    set_option(page, "length", "paragraph")
    soon(lambda: list_offered(page)[:2] == [" It rained.\nIt fell.", "so " * 50])
    fake(page, texts=[" when the rain fell, it fi", " when the rain fell, it was cold. An"])
    set_option(page, "length", "200")
    expected = [" when the rain fell, it", " when the rain fell, it was cold."]
    soon(lambda: list_offered(page)[:2] == expected)
    set_option(page, "number", "1")
    soon(lambda: list_offered(page) == expected[:1])


def test_marks_are_copies_and_on_demand_surprise(page: Any) -> None:
    copied = "copied from the training text"
    fake(page, texts=[f" is {copied}, no."])
    write(page, "It is! ")
    first = "#alternatives li:first-child"
    soon(lambda: list_highlighted(page, "offered-copies", first) == copied)
    page.keyboard.press("Alt+1")
    soon(lambda: list_highlighted(page, "copied", ".mirror") == copied)
    assert list_highlighted(page, "surprise-4", ".mirror") == ""
    set_option(page, "show-surprise", True)
    soon(lambda: list_highlighted(page, "surprise-4", ".mirror") == "!")
    # marks stay with their characters when text before them changes
    page.locator("#text").press("Control+Home")
    page.locator("#text").press_sequentially("And so ")
    assert list_highlighted(page, "surprise-4", ".mirror") == "!"
    assert list_highlighted(page, "copied", ".mirror") == copied
    set_option(page, "show-surprise", False)
    soon(lambda: list_highlighted(page, "surprise-4", ".mirror") == "")
    assert not fake(page)[-1]["copiesLess"]
    set_option(page, "copy-less", True)
    soon(lambda: any(asked["copiesLess"] for asked in fake(page)))


def test_a_click_shows_other_whole_words_and_one_replaces_the_word(page: Any) -> None:
    write(page, "Once second I don't")
    assert list_words(page, 7) == [",", "sad"]  # and no end of “Once”
    page.get_by_text("“second” was 61 % likely").wait_for()
    page.get_by_role("button", name="“sad”").click()
    assert text_of(page) == "Once sad I don't"
    page.locator("#text").press("End")
    page.keyboard.press("Control+.")
    page.get_by_text("“don't” was unlikely here").wait_for()
    press(page, "ArrowDown", "ArrowDown", "Enter")
    assert text_of(page) == "Once sad I sad"
    page.keyboard.press("Control+z")
    assert text_of(page) == "Once sad I don't"


def test_a_long_draft_is_a_plain_field_and_written_at_its_end(page: Any) -> None:
    line = "A line of the draft.\n"
    paste = """(field, text) => {
        field.value = text;
        field.dispatchEvent(new Event("input"));
    }"""
    page.locator("#text").evaluate(paste, line * 3000)
    assert page.locator("#sheet.plain").is_visible()
    assert page.locator(".mirror").text_content() == "\u200b"
    page.locator("#text").press("Control+End")
    continue_text(page)
    prompt = fake(page)[-1]["prompt"]
    assert 4096 <= len(prompt) <= 8192
    assert (line * 3000).endswith(prompt)
    page.keyboard.press("Alt+1")
    assert text_of(page) == line * 3000 + " first words."
    assert page.locator("#text").evaluate("field => field.scrollTop > 9000")
    page.locator("#text").fill(line)
    assert page.locator(".mirror").text_content() == f"{line}\u200b"
