"""Writing with the page: continuations, choosing, undoing, stopping, by mouse and by keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.fake_server import FakeServer
from tests.browser.steps import (
    click_character,
    continue_text,
    list_highlighted,
    list_offered,
    press,
    shelf,
    slide,
    text_of,
    wait_for_models,
    write,
)
from tests.waiting import until

pytestmark = pytest.mark.browser


def test_several_continuations_are_written_and_one_is_taken_and_undone(
    page: Any, server: FakeServer
) -> None:
    slide(page, "Temperature", "1.2")
    slide(page, "Length", "2")
    write(page, "Once")
    asked = server.asked[0]
    assert (asked["prompt"], asked["temperature"], asked["max_tokens"]) == ("Once", 1.2, 100)
    assert (asked["n"], asked["top_p"], asked["model"]) == (3, 1, "verse")
    assert list_offered(page) == server.texts
    assert text_of(page) == "Once"

    page.get_by_role("button", name="Take continuation 2").click()
    assert text_of(page) == "Once second one."
    for expected in ("Once", ""):
        page.get_by_role("button", name="Undo").click()
        assert text_of(page) == expected
    assert page.get_by_role("button", name="Undo").is_disabled()
    for expected in ("Once", "Once second one."):
        page.get_by_role("button", name="Redo").click()
        assert text_of(page) == expected
    assert page.locator("#alternatives").is_hidden()


def test_stop_keeps_what_was_written(page: Any, server: FakeServer) -> None:
    server.texts, server.delay = ["la " * 60], 0.02
    page.locator("#text").fill("Sing: ")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("la la").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    kept = list_offered(page)
    assert 0 < len(kept[0]) < 180
    page.wait_for_timeout(100)
    assert list_offered(page) == kept
    assert server.dropped == 1  # it was told to stop, too


def test_a_part_is_taken(page: Any, server: FakeServer) -> None:
    server.texts = [' "One two." Three four.\nFive']
    write(page, "So")
    page.get_by_role("button", name="Take the first sentence of continuation 1").click()
    assert text_of(page) == 'So "One two."'
    page.keyboard.press("Control+z")
    continue_text(page)
    click_character(page, 13, "#alternatives .text")
    assert text_of(page) == 'So "One two." Three'


def test_a_text_is_taken_word_by_word(page: Any, server: FakeServer) -> None:
    server.texts = [" one two three.", " one four.", " five."]
    write(page, "So")
    for text, rest in (("So one", [" two three.", " four."]), ("So one two", [" three."])):
        page.keyboard.press("Control+ArrowRight")
        assert (text_of(page), list_offered(page)) == (text, rest)
    for text, rest in (("So one", [" two three.", " four."]), ("So", server.texts)):
        page.keyboard.press("Control+z")
        assert (text_of(page), list_offered(page)) == (text, rest)
    page.get_by_role("button", name="Take the next word of continuation 2").click()
    assert (text_of(page), list_offered(page)) == ("So one", [" four.", " two three."])
    page.keyboard.press("Control+ArrowRight")  # of the one with the focus
    assert text_of(page) == "So one four."
    assert page.locator("#alternatives").is_hidden()
    assert page.evaluate("document.activeElement.id") == "text"


def test_a_choice_during_writing_stays(page: Any, server: FakeServer) -> None:
    server.texts, server.delay = [" word" * 20], 0.01
    page.locator("#text").fill("So")
    page.locator("#text").press("Control+Enter")
    until(lambda: len(list_offered(page)[0]) > 12)
    page.keyboard.press("Control+ArrowRight")
    page.wait_for_timeout(300)
    assert text_of(page) == "So word"
    page.keyboard.press("Escape")
    slide(page, "Texts", "1")
    page.locator("#text").press("Control+Enter")
    until(lambda: text_of(page).startswith("So word word"))
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)
    assert text_of(page) == "So word"


def test_a_model_is_chosen_of_several(page: Any, server: FakeServer) -> None:
    server.models, server.lists = ("verse", "<b>prose</b>", "names"), ("names",)
    page.reload()
    page.locator("#text").fill("It is copied from the training text, ")
    until(lambda: list_highlighted(page, "copied", ".mirror") == server.copied)
    page.get_by_label("Model").select_option("names")
    page.get_by_role("button", name="Write a list").wait_for()
    page.get_by_label("Model").select_option("<b>prose</b>")
    until(lambda: list_highlighted(page, "copied", ".mirror") == "")
    page.reload()
    write(page, "So")
    assert server.asked[0]["model"] == "<b>prose</b>"


def test_typing_is_undone_by_words(page: Any) -> None:
    page.keyboard.type("one two three")
    page.keyboard.press("Control+z")
    assert text_of(page) == "one two"
    press(page, "Backspace", "Backspace")
    page.keyboard.insert_text("a paste.")
    page.keyboard.insert_text("Another.")
    for expected in ("one ta paste.", "one t", "one two", "one", ""):
        page.keyboard.press("Control+z")
        assert text_of(page) == expected


def test_a_long_draft_is_shown_at_the_cursor(page: Any, server: FakeServer) -> None:
    slide(page, "Texts", "1")
    page.locator("#text").evaluate(
        """field => {
            field.value = "A line of the draft.\\n".repeat(2000);
            field.dispatchEvent(new Event("input"));
        }"""
    )
    page.locator("#text").press("Control+End")
    continue_text(page)
    prompt = server.asked[0]["prompt"]
    assert 4096 <= len(prompt) <= 8192
    assert ("A line of the draft.\n" * 2000).endswith(prompt)
    room = page.locator(".room")
    from_end = "room => room.scrollHeight - room.clientHeight - room.scrollTop"
    assert room.evaluate(from_end) < 100


def test_a_text_is_read_first_and_kept_with_the_draft(page: Any, server: FakeServer) -> None:
    page.locator("#text").fill("It was old.")
    page.get_by_role("button", name="Options").click()
    page.get_by_label("Read this first").fill("A ship.")
    page.keyboard.press("Escape")
    page.locator("#text").evaluate("field => field.setSelectionRange(2, 2)")
    continue_text(page)
    prompts = [asked["prompt"] for asked in server.asked]
    assert prompts[0] == "A ship.\nIt"
    assert "A ship.\nIt first words. was old." in prompts  # to sort
    page.reload()
    wait_for_models(page)
    assert page.locator("#read-first").input_value() == "A ship."
    shelf(page, "New draft")
    assert page.locator("#read-first").input_value() == ""


def test_continuations_of_a_changed_draft_cannot_be_taken(page: Any, server: FakeServer) -> None:
    server.texts = ["is on!"]
    write(page, "My heart is ")
    page.keyboard.type("not ")
    page.get_by_text("The text has changed").wait_for()
    page.keyboard.press("Alt+1")
    assert text_of(page) == "My heart is not "
    page.locator("#alternatives .text").first.click()
    assert text_of(page) == "My heart is not "


def test_they_end_at_a_sentence_or_a_word(page: Any, server: FakeServer) -> None:
    server.texts = [" when the rain fell, it fi", " when the rain fell, it was cold. An", "a" * 60]
    write(page, "So")
    expected = [" when the rain fell, it", " when the rain fell, it was cold.", "a" * 60]
    assert list_offered(page) == expected
    slide(page, "Texts", "1")
    continue_text(page)
    for key in ("Shift+z", "y"):
        page.keyboard.press("Control+z")
        assert text_of(page) == "So"
        page.keyboard.press(f"Control+{key}")
        assert text_of(page) == "So when the rain fell, it"


def test_a_continuation_fits_the_text_after_it(page: Any, server: FakeServer) -> None:
    """Check that blanks are not doubled, and that the best continuation is first."""
    server.texts = ["far away over th", "at last to the isl", "nowhere "]
    server.score_of = lambda prompt: -1.0 if "at last to the and" in prompt else -3.0
    page.locator("#text").fill("They sailed and were happy.")
    page.locator("#text").evaluate("field => field.setSelectionRange(12, 12)")
    continue_text(page)
    scored = [asked["prompt"] for asked in server.asked if asked.get("echo")]
    assert scored[0] == "They sailed far away over and were happy."
    assert list_offered(page)[0] == "at last to the "
    page.locator("#text").evaluate("field => field.setSelectionRange(0, 0)")  # where it is not put
    page.keyboard.press("Alt+1")
    assert text_of(page) == "They sailed at last to the and were happy."
    assert page.locator("#text").evaluate("field => field.selectionEnd") == 27

    page.locator("#text").fill("They sailed and were happy.")
    page.locator("#text").evaluate("field => field.setSelectionRange(11, 11)")
    server.texts = [" nowhere ", " nowhere else ", " far"]
    continue_text(page)
    page.keyboard.press("Alt+1")
    assert text_of(page) == "They sailed nowhere and were happy."


def test_unknown_characters_are_told(page: Any, server: FakeServer) -> None:
    server.read_as = {"”": '"', "\t": " ", "€": ""}
    page.locator("#text").fill("Caf”,\t3 €")
    page.get_by_text('” is read as ", tab is read as space, € is left out').wait_for()
    page.locator("#text").fill("Caf")
    until(lambda: page.locator("#unknown").text_content() == "")


def test_a_click_shows_the_others_and_one_branches(page: Any, server: FakeServer) -> None:
    server.score_of = lambda prompt: -1.0  # all lead as well into what follows
    write(page, "Once")
    page.keyboard.press("Alt+2")
    page.keyboard.type(" And")
    click_character(page, 6)
    page.get_by_text("“second” was 60 % likely").wait_for()
    others = page.locator("#character-menu li")
    assert others.all_text_contents() == ["“,”20 %", "“sad”5 %"]
    page.get_by_role("button", name="“sad”").click()
    assert text_of(page) == "Once sad And"  # what was typed stays
    page.get_by_text("characters a second").wait_for()
    page.keyboard.press("Control+z")
    click_character(page, 6)
    page.get_by_role("button", name="Characters").click()
    page.get_by_text("“e” was 61 % likely").wait_for()
    assert server.looked_at == ["Once", "Once", "Once s"]
    assert others.all_text_contents() == ["space22 %", "“a”5 %"]
    page.get_by_role("button", name="“a”").click()
    assert text_of(page) == "Once sa And"
    page.get_by_text("characters a second").wait_for()
    prompts = [asked["prompt"] for asked in server.asked if "n" in asked]
    assert prompts == ["Once", "Once sad", "Once sa"]


def test_another_word_or_character_by_keyboard(page: Any, server: FakeServer) -> None:
    slide(page, "Texts", "1")
    server.texts = [" end. "]
    page.locator("#text").press_sequentially("The old")
    page.keyboard.press("Control+.")
    page.get_by_text("“old” was unlikely here").wait_for()
    press(page, "ArrowDown", "ArrowDown", "Enter")
    page.get_by_text("characters a second").wait_for()
    assert (server.looked_at, text_of(page)) == (["The"], "The sad end.")
    page.keyboard.press("Control+z")  # in one step: the choice and what was written after it
    assert text_of(page) == "The old"
    server.knows_words = False
    page.reload()
    wait_for_models(page)
    page.keyboard.press("Control+.")
    page.get_by_text("“d” was unlikely here").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.type("e")  # the text has the focus again
    assert text_of(page) == "The olde"


# What the page says and keeps when its server does not do what is asked


def test_a_refusal_is_said_plainly(page: Any, server: FakeServer) -> None:
    page.locator("#text").fill("Straße")
    for status, said, shown in (
        (400, "The model does not know “ß”.", "The model does not know “ß”."),
        (429, "slow down", "The server is busy. Try again in a moment."),
    ):
        server.refusal = (status, said)
        page.locator("#text").press("Control+Enter")
        page.get_by_role("alert").filter(has_text=shown).wait_for()
        assert page.locator("#alternatives").is_hidden()
    server.refusal = None
    continue_text(page)
    assert page.get_by_role("alert").is_hidden()


def past(page: Any) -> list[str]:
    """Return the offered earlier texts of the draft, without their times."""
    page.get_by_role("button", name="Menu", exact=True).click()
    page.get_by_role("button", name="Earlier texts").click()
    texts: list[str] = page.locator("#not-taken button").all_inner_texts()
    return [text.split(" · ", 1)[1] for text in texts]


def test_continuations_that_were_not_taken_are_kept(page: Any, server: FakeServer) -> None:
    write(page, "Once")
    page.keyboard.press("Alt+1")
    server.texts = [" upon a time."]
    continue_text(page)
    page.keyboard.press("Escape")
    page.reload()
    assert past(page) == ["upon a time.", "second one."]
    page.locator("#not-taken button").last.click()
    assert list_offered(page) == [" second one.", " a third!"]
    page.keyboard.press("Alt+2")
    assert text_of(page) == "Once first words. a third!"
    assert past(page) == ["upon a time.", "second one."]
    page.keyboard.press("Escape")
    shelf(page, "New draft")
    assert past(page) == []
    assert page.get_by_text("There are none yet.").is_visible()


def test_a_draft_has_room_before_what_is_kept_with_it(page: Any, server: FakeServer) -> None:
    write(page, "Once")
    page.evaluate(
        """() => {
            const room = (length) => localStorage.setItem("charrnn.room", "x".repeat(length));
            let most = 0;
            for (let step = 2 ** 23; step >= 1; step /= 2) {
                try { room(most + step); most += step; } catch { /* too much */ }
            }
        }"""
    )
    page.keyboard.type(", and more.")
    page.wait_for_timeout(700)
    assert page.get_by_role("alert").is_hidden()
    page.reload()
    assert text_of(page) == "Once, and more."
    assert past(page) == []
