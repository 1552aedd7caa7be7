"""The writing page in a real Chromium, as a writer meets it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.fake_server import FakeServer

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><script>window.struck = 1</script><img src=x onerror='window.struck = 1'>"
    '"\'`${1}\\u0041&lt;\0\u2028\u2029\u202e\ufeff שלום 👩\u200d🚀 </textarea>\n'
)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that the page does in its own time."""
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


def text_of(page: Any) -> str:
    value: str = page.locator("#text").input_value()
    return value


def highlighted(page: Any, name: str, selector: str) -> str:
    """What is shown with a highlight in the element, in the order of the text."""
    found: str = page.evaluate(
        """([name, selector]) => [...CSS.highlights.get(name) ?? []]
            .filter((range) => range.startContainer.parentElement.closest(selector))
            .sort((a, b) => a.startOffset - b.startOffset)
            .map((range) => range.startContainer.data.slice(range.startOffset, range.endOffset))
            .join("|")""",
        [name, selector],
    )
    return found


def slide(page: Any, name: str, to: str) -> None:
    page.get_by_role("slider", name=name).fill(to)


def write(page: Any, text: str) -> None:
    """Type a text and have it continued, until the writing has ended."""
    page.locator("#text").press_sequentially(text)
    page.locator("#text").press("Control+Enter")
    page.get_by_text("characters a second").wait_for()


def test_several_continuations_are_written_and_one_is_taken_and_undone(
    page: Any, server: FakeServer
) -> None:
    slide(page, "Temperature", "1.2")
    slide(page, "Length", "2")
    write(page, "Once")
    asked = server.asked[0]
    assert (asked["prompt"], asked["temperature"], asked["max_tokens"]) == ("Once", 1.2, 100)
    assert (asked["n"], asked["top_p"], asked["model"]) == (3, 1, "verse")
    assert page.locator("#alternatives .text").all_text_contents() == server.texts
    assert text_of(page) == "Once"

    page.get_by_role("button", name="Take continuation 2").click()
    assert text_of(page) == "Once second one."
    assert page.locator("#alternatives").is_hidden()
    page.keyboard.type(" More")
    assert text_of(page) == "Once second one. More"

    for expected in ("Once second one.", "Once", ""):
        page.get_by_role("button", name="Undo").click()
        assert text_of(page) == expected
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Redo").click()
    assert text_of(page) == "Once second one."


def test_it_goes_on_where_the_cursor_is(page: Any, server: FakeServer) -> None:
    page.locator("#text").fill("Before. After.")
    page.locator("#text").evaluate("field => field.setSelectionRange(7, 7)")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("characters a second").wait_for()
    assert server.asked[0]["prompt"] == "Before."
    page.locator("#text").evaluate("field => field.setSelectionRange(0, 0)")
    page.locator("#text").press_sequentially("Long ")
    page.get_by_role("button", name="Take continuation 1").click()
    assert text_of(page) == "Long Before. first words. After."
    assert page.locator("#text").evaluate("field => field.selectionEnd") == 25


def test_one_text_is_written_straight_in_and_undone_in_one_step(
    page: Any, server: FakeServer
) -> None:
    slide(page, "Texts", "1")
    server.delay = 0.01
    write(page, "So")
    assert text_of(page) == "So first words."
    page.keyboard.press("Control+z")
    assert text_of(page) == "So"
    page.keyboard.press("Control+Shift+z")
    assert text_of(page) == "So first words."


def test_without_chance_only_one_text_is_asked_for(page: Any, server: FakeServer) -> None:
    slide(page, "Temperature", "0")
    write(page, "So")
    assert (server.asked[0]["temperature"], server.asked[0]["n"]) == (0, 1)


def test_stop_keeps_what_was_written(page: Any, server: FakeServer) -> None:
    server.texts, server.delay = ["la " * 60], 0.02
    page.locator("#text").fill("Sing: ")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("la la").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    kept = page.locator("#alternatives .text").first.text_content()
    assert 0 < len(kept) < 180
    page.wait_for_timeout(100)
    assert page.locator("#alternatives .text").first.text_content() == kept
    page.keyboard.press("Escape")
    assert page.locator("#alternatives").is_hidden()
    assert text_of(page) == "Sing: "
    assert server.dropped == 1  # it was told to stop, too


def test_one_is_taken_while_it_is_written(page: Any, server: FakeServer) -> None:
    server.texts, server.delay = ["la " * 60], 0.02
    page.locator("#text").fill("Sing: ")
    page.locator("#text").press("Control+Enter")
    page.get_by_text("la la").first.wait_for()
    page.keyboard.press("Alt+1")
    taken = text_of(page)
    assert re.fullmatch("Sing: (la ?|l)+", taken)
    page.wait_for_timeout(100)
    assert text_of(page) == taken
    server.delay = 0
    page.keyboard.press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    assert server.asked[1]["prompt"] == taken


def test_a_part_is_taken(page: Any, server: FakeServer) -> None:
    server.texts = [' "One two." Three four.\nFive']
    write(page, "So")
    page.get_by_role("button", name="Take the first sentence of continuation 1").click()
    assert text_of(page) == 'So "One two."'
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    box = page.locator("#alternatives .text").first.evaluate(
        """element => {
            const range = document.createRange();
            range.setStart(element.firstChild, 13);
            range.setEnd(element.firstChild, 14);
            return range.getBoundingClientRect().toJSON();
        }"""
    )
    page.mouse.click(box["x"] + 2, box["y"] + 5)
    assert text_of(page) == 'So "One two." Three'


def test_surprise_is_tinted_and_copies_are_underlined(page: Any, server: FakeServer) -> None:
    server.texts = ["copied from the training text, not"]
    server.logprobs = (-0.1, -9.0)
    write(page, "It is ")
    first = "#alternatives li:first-child"
    until(lambda: highlighted(page, "copied", first) == "copied from the training text")
    assert highlighted(page, "surprise-5", first).startswith("o|i|d|f")
    page.keyboard.press("Alt+1")
    assert highlighted(page, "surprise-5", ".mirror").startswith("o|i|d|f")
    assert highlighted(page, "surprise-1", ".mirror") == ""
    until(lambda: highlighted(page, "copied", ".mirror") == "copied from the training text")
    assert page.locator("#character").text_content() == "“t” was 0.012 % likely"

    # marks stay with their characters when text before them changes
    page.locator("#text").press("Control+Home")
    page.locator("#text").press_sequentially("And so ")
    assert highlighted(page, "surprise-5", ".mirror").startswith("o|i|d|f")
    assert highlighted(page, "copied", ".mirror") == "copied from the training text"

    page.get_by_role("button", name="Options").click()
    colour = "getComputedStyle(document.querySelector('.mirror'), '::highlight(surprise-5)').backgroundColor"
    assert not page.evaluate(colour).endswith("/ 0)")
    page.get_by_role("checkbox", name="Tint what was surprising").uncheck()
    assert page.evaluate(colour).endswith((" / 0)", ", 0)"))


def test_a_server_that_cannot_tell_copies_is_not_asked_to(context: Any, server: FakeServer) -> None:
    server.copied = None
    page = context.new_page()
    page.goto("/")
    page.locator("#model option").first.wait_for(state="attached")
    page.get_by_role("button", name="Options").click()
    assert page.get_by_role("checkbox").count() == 1
    write(page, "So")
    assert page.locator("#error").is_hidden()


def test_hostile_text_changes_nothing(page: Any, server: FakeServer) -> None:
    server.texts = [HOSTILE]
    page.locator("#text").fill(HOSTILE)
    page.locator("#text").press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    assert page.locator("#alternatives .text").first.text_content() == HOSTILE
    page.keyboard.press("Alt+1")
    assert text_of(page) == server.asked[0]["prompt"] + HOSTILE
    assert server.asked[0]["prompt"] == HOSTILE
    page.reload()
    assert text_of(page) == HOSTILE * 2
    assert page.evaluate("window.struck") is None
    assert page.locator("img, body script").count() == 0
    mirrored = page.locator(".mirror").evaluate("element => element.firstChild.data")
    assert mirrored == HOSTILE * 2


def test_the_draft_and_the_settings_outlive_a_reload(page: Any, server: FakeServer) -> None:
    server.logprobs = (-9.0,)
    slide(page, "Length", "0")
    write(page, "Kept ")
    page.keyboard.press("Alt+3")
    page.reload()  # at once: it is kept when the page goes
    assert text_of(page) == "Kept  a third!"
    assert highlighted(page, "surprise-5", ".mirror") == " a third!"
    assert page.locator("output[for=length]").text_content() == "20 characters"
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_a_new_draft_can_be_undone(page: Any) -> None:
    page.locator("#text").fill("Something dear.")
    page.get_by_role("button", name="Draft", exact=True).click()
    page.get_by_role("button", name="New draft").click()
    assert text_of(page) == ""
    assert page.get_by_role("button", name="Let it begin").is_visible()
    page.get_by_role("button", name="Undo").click()
    assert text_of(page) == "Something dear."


def test_the_model_begins_by_itself(page: Any, server: FakeServer) -> None:
    page.get_by_role("button", name="Let it begin").click()
    page.get_by_text("characters a second").wait_for()
    assert server.asked[0]["prompt"] == ""
    page.keyboard.press("Alt+1")
    assert text_of(page) == " first words."


def test_the_draft_is_saved_as_a_file(page: Any, tmp_path: Any) -> None:
    page.locator("#text").fill("Zürich, 👩\u200d🚀\n")
    page.get_by_role("button", name="Draft", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    download.value.save_as(tmp_path / "draft.txt")
    assert (tmp_path / "draft.txt").read_bytes().decode() == "Zürich, 👩\u200d🚀\n"


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
    page.locator("#text").press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    assert page.get_by_role("alert").is_hidden()


def test_a_connection_that_breaks_keeps_what_came(page: Any, server: FakeServer) -> None:
    server.breaks_after = 5
    page.locator("#text").fill("So")
    page.locator("#text").press("Control+Enter")
    page.get_by_text("The server broke off.").wait_for()
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


def test_a_model_is_chosen_of_several(context: Any, server: FakeServer) -> None:
    server.models = ("verse", "<b>prose</b>")
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Model").select_option("<b>prose</b>")
    page.reload()
    write(page, "So")
    assert server.asked[0]["model"] == "<b>prose</b>"


def test_a_draft_follows_from_another_window(context: Any, page: Any) -> None:
    other = context.new_page()
    other.goto("/")
    other.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    page.locator("#text").fill("Written here.")
    until(lambda: text_of(other) == "Written here.")


def test_by_keyboard_alone(page: Any, server: FakeServer) -> None:
    page.keyboard.type("Keys")  # the text has the focus from the start
    page.keyboard.press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    page.keyboard.press("Tab")  # to the button that closes
    page.keyboard.press("Tab")  # to the first text, which may have to be scrolled
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert text_of(page) == "Keys first words."
    page.keyboard.type(" On.")
    assert text_of(page) == "Keys first words. On."
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert text_of(page) == "Keys"
    page.keyboard.press("Control+y")
    assert text_of(page) == "Keys first words."
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "temperature"
    before = page.locator("#temperature").input_value()
    page.keyboard.press("ArrowRight")
    assert float(page.locator("#temperature").input_value()) == pytest.approx(float(before) + 0.05)


def test_typing_is_undone_by_words(page: Any) -> None:
    page.keyboard.type("one two three")
    page.keyboard.press("Control+z")
    assert text_of(page) == "one two"
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    for expected in ("one two", "one", ""):
        page.keyboard.press("Control+z")
        assert text_of(page) == expected


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    chromium: Any, server: FakeServer, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    server.texts = ["copied from the training text, and more of it. " * 8]
    context = chromium.new_context(
        base_url=server.address,
        viewport={"width": width, "height": 740},
        color_scheme=scheme,
        bypass_csp=True,  # axe is put into the page as a script
    )
    page = context.new_page()
    page.goto("/")
    page.locator("#model option").first.wait_for(state="attached")

    def check() -> None:
        found = axe.Axe().run(page).response["violations"]
        assert [(rule["id"], rule["impact"], rule["nodes"]) for rule in found] == []
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(wide)
        button = page.locator("#continue").bounding_box()
        assert button["x"] >= 0
        assert button["x"] + button["width"] <= width
        assert button["y"] + button["height"] <= 740

    check()
    write(page, "It is ")
    page.get_by_text("more of it").first.wait_for()
    check()
    if width == 360:
        page.locator("#dials-toggle").click()
    page.get_by_role("button", name="Options").click()
    check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Draft", exact=True).click()
    check()
    context.close()


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


def test_a_long_draft_is_shown_at_the_cursor(page: Any, server: FakeServer) -> None:
    slide(page, "Texts", "1")
    page.locator("#text").evaluate(
        """field => {
            field.value = "A line of the draft.\\n".repeat(2000);
            field.dispatchEvent(new Event("input"));
        }"""
    )
    page.locator("#text").press("Control+End")
    page.keyboard.press("Control+Enter")
    page.get_by_text("characters a second").wait_for()
    prompt = server.asked[0]["prompt"]
    assert 4096 <= len(prompt) <= 8192
    assert ("A line of the draft.\n" * 2000).endswith(prompt)
    room = page.locator(".room")
    from_end = "room => room.scrollHeight - room.clientHeight - room.scrollTop"
    assert room.evaluate(from_end) < 100


def test_changes_of_a_draft_against_plain_strings(page: Any) -> None:
    """Random edits: text, marks, history and the difference that an edit is found as."""
    wrong = page.evaluate(
        """async () => {
            const { Draft, Passage, difference, movedBy } = await import("./draft.js");
            let state = 7;
            const random = (most) => (state = (state * 48271) % 2147483647) % (most + 1);
            const draft = new Draft();
            const versions = [""];
            for (let i = 0; i < 500; i++) {
                const before = draft.text;
                const start = random(before.length);
                const end = start + random(Math.min(5, before.length - start));
                const inserted = "ab👩\\n".slice(random(4), 1 + random(5));
                const after = before.slice(0, start) + inserted + before.slice(end);
                if (after === before) continue;
                const caret = start + inserted.length;
                const [from, to, between] = difference(before, after, caret);
                if (before.slice(0, from) + between + before.slice(to) !== after) return "difference";
                if (from + between.length > caret) return "the caret was not heeded";
                if (movedBy(before.length, from, to - from, between) !== after.length) return "moved";
                // each unit's mark is its code, so that marks can be compared with the text
                const bits = Float32Array.from(between, () => 0).length && between.length
                    ? Float32Array.from({length: between.length}, (_, k) => between.charCodeAt(k))
                    : new Float32Array(0);
                draft.replace(from, to, new Passage(between, bits));
                versions.push(after);
                const marks = [...draft.passage.bits].map((code) => String.fromCharCode(code)).join("");
                if (draft.text !== after || marks !== after) return "text or marks";
                if (draft.copied.length !== after.length) return "copied";
            }
            const last = versions.length - 1;
            for (let i = last - 1; i >= 0; i--) {
                draft.undo();
                if (draft.text !== versions[i]) return `undo ${i}`;
            }
            if (draft.undo() !== null) return "undo beyond the beginning";
            for (let i = 1; i <= last; i++) {
                draft.redo();
                if (draft.text !== versions[i]) return `redo ${i}`;
            }
            return draft.redo() === null ? "" : "redo beyond the end";
        }"""
    )
    assert wrong == ""
