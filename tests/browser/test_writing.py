"""Writing: continuations, choosing, undoing, stopping, by mouse and by keyboard; lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.steps import (
    LOOKS,
    click_character,
    continue_text,
    fake,
    list_offered,
    list_words,
    looks_right,
    press,
    save,
    set_option,
    settle,
    shelf,
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


def entries(page: Any) -> list[str]:
    found: list[str] = page.locator("#list li").all_inner_texts()
    return found


def write_list(page: Any, says: str) -> None:
    page.keyboard.press("Control+Enter")
    page.get_by_text(says, exact=True).wait_for()


def test_entries_are_written_starred_kept_and_saved(page: Any, tmp_path: Path) -> None:
    def save_list() -> str:
        page.locator("#shelf-toggle").click()
        return save(page, "Save as text", tmp_path / "list").read_bytes().decode()

    texts = ["tea", "deep sea", "tea ", 'a "rose", red', "sea", "moss"]
    page.get_by_role("switch", name="List").check()
    page.get_by_label("Start of each entry").fill("dark ")
    fake(page, texts=texts, lines=["dark sea", "dark moss"])
    write_list(page, "3 entries; lines of the training text left out: 2")
    asked = fake(page, texts=["tea", "sky"], lines=[])[0]
    assert (asked["prompt"], asked["stop"], asked["n"]) == ("dark ", "\n", 50)
    assert entries(page) == ["dark tea", "dark deep sea", 'dark a "rose", red']
    assert save_list() == 'dark tea\ndark deep sea\ndark a "rose", red\n'
    page.locator("#list li input").first.focus()
    press(page, "Tab", "Space", "Tab", "Space")
    starred = page.locator("#list li:has(:checked)")
    assert starred.count() == 2
    assert save_list() == 'dark deep sea\ndark a "rose", red\n'
    write_list(page, "2 entries")
    expected = ["dark deep sea", 'dark a "rose", red', "dark tea", "dark sky"]
    assert entries(page) == expected
    page.reload()
    soon(lambda: entries(page) == expected)
    assert starred.count() == 2
    shelf(page, "Empty the list")
    assert entries(page) == []
