"""The draft: what is kept of it, in several windows too, and text that is no markup."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.steps import (
    fake,
    list_offered,
    set_option,
    settle,
    shelf,
    soon,
    text_of,
)

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><script>window.struck = 1</script><img src=x onerror='window.struck = 1'>"
    "\"'`${1}\\u0041&lt;\0\u2028\u2029\u202e\ufeff שלום 👩\u200d🚀 </textarea>\n"
)


def test_hostile_text_changes_nothing_and_outlives_a_reload(page: Any) -> None:
    fake(page, texts=[HOSTILE])
    set_option(page, "temperature", "1.2")
    set_option(page, "length", "200")
    page.locator("#text").fill(HOSTILE)
    settle(page)
    assert list_offered(page)[0] == HOSTILE.rstrip()
    page.keyboard.press("Alt+1")
    written = HOSTILE + HOSTILE.rstrip()
    assert text_of(page) == written
    page.keyboard.type(" in mid-wo")
    page.reload()  # at once: it is kept when the page closes
    written += " in mid-wo"
    soon(lambda: text_of(page) == written)
    assert page.locator("#temperature-shown").text_content() == "1.20"
    assert page.evaluate("window.struck") is None
    assert page.locator("img, body script[src]").count() == 0
    assert page.locator(".mirror").text_content() == written + "\u200b"


def titles(page: Any) -> list[str]:
    page.locator("#shelf-toggle").click()
    found: list[str] = page.locator("#shelf ol button").all_text_contents()
    page.keyboard.press("Escape")
    return found


def test_several_drafts_are_created_opened_and_deleted(page: Any) -> None:
    page.locator("#text").fill("Old <b>one</b>\nand more")
    shelf(page, "New draft")
    assert text_of(page) == ""
    page.keyboard.type("Mine.")
    shelf(page, "Old <b>one</b>")
    assert text_of(page) == "Old <b>one</b>\nand more"
    shelf(page, "New draft")
    assert titles(page) == ["Old <b>one</b>", "Mine.", "Draft 3"]
    shelf(page, "Mine.")
    page.reload()
    soon(lambda: text_of(page) == "Mine.")
    page.once("dialog", lambda dialog: dialog.dismiss())
    shelf(page, "Delete this draft")
    assert text_of(page) == "Mine."
    for left in (["Old <b>one</b>"], ["Draft 1"]):
        page.once("dialog", lambda dialog: dialog.accept())
        shelf(page, "Delete this draft")
        assert titles(page) == left
    assert text_of(page) == ""


def test_the_second_window_of_a_draft_says_so_and_writes_into_a_copy(
    context: Any, page: Any
) -> None:
    page.locator("#text").fill("Written here.")
    page.wait_for_timeout(700)
    other = context.new_page()
    other.goto("")
    told = other.get_by_text("The draft is open in another window. This is a copy of it.")
    told.wait_for()
    settle(other)
    assert told.is_visible()
    assert text_of(other) == "Written here."
    other.locator("#text").fill("Written there.")
    other.wait_for_timeout(700)
    page.locator("#text").press_sequentially(" And on.")
    page.reload()
    other.reload()
    soon(lambda: text_of(other) == "Written there.")
    shelf(page, "Written here. And on.")
    soon(lambda: text_of(page) == "Written here. And on.")


def test_a_draft_of_any_length_is_printed_whole_and_alone(page: Any) -> None:
    paper = page.locator(".mirror")
    for draft in ("A line.\n" * 100, "A line.\n" * 10_000):  # one with and one without a mirror
        set_option(page, "text", draft)
        page.wait_for_timeout(300)
        page.pdf()
        page.emulate_media(media="print")
        assert paper.text_content() == f"{draft}\u200b"
        assert paper.evaluate("(paper) => getComputedStyle(paper).color") == "rgb(0, 0, 0)"
        assert paper.bounding_box()["height"] > 2000
        assert page.locator(":is(header, footer, #text, #alternatives):visible").count() == 0
        page.emulate_media(media="screen")


def test_a_full_storage_says_so(page: Any) -> None:
    page.evaluate(
        """() => {
            const room = (length) => localStorage.setItem("charrnn.room", "x".repeat(length));
            let most = 0;
            for (let step = 2 ** 23; step >= 1; step /= 2) {
                try { room(most + step); most += step; } catch { /* too much */ }
            }
        }"""
    )
    page.locator("#text").press_sequentially("More than there is room for.")
    told = page.get_by_text("This browser cannot store the draft: save it as a file.")
    told.wait_for()
    fake(page, texts=["new"])
    set_option(page, "number", "1")
    soon(lambda: list_offered(page) == ["new"])
    assert told.is_visible()  # also after other messages
    with page.expect_event("dialog") as asked:  # whether to leave without the draft
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.accept()
