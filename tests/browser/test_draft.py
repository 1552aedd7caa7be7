"""The draft: what is known of its characters, what is kept of it, and text that is no markup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.fake_server import FakeServer
from tests.browser.steps import (
    continue_text,
    list_highlighted,
    list_offered,
    press,
    save,
    shelf,
    slide,
    text_of,
    watch_window,
    write,
)
from tests.waiting import until

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><script>window.struck = 1</script><img src=x onerror='window.struck = 1'>"
    "\"'`${1}\\u0041&lt;\0\u2028\u2029\u202e\ufeff שלום 👩\u200d🚀 </textarea>\n"
)


def test_surprise_is_tinted_and_copies_are_underlined(page: Any, server: FakeServer) -> None:
    server.texts = ["copied from the training text, no."]
    server.logprobs = (-0.1, -9.0)
    write(page, "It is ")
    first = "#alternatives li:first-child"
    until(lambda: list_highlighted(page, "copied", first) == "copied from the training text")
    assert list_highlighted(page, "surprise-5", first).startswith("o|i|d|f")
    page.keyboard.press("Alt+1")
    assert list_highlighted(page, "surprise-5", ".mirror").startswith("o|i|d|f")
    until(lambda: list_highlighted(page, "copied", ".mirror") == "copied from the training text")
    assert page.locator("#character").text_content() == "“.” was 0.012 % likely"

    # marks stay with their characters when text before them changes
    page.locator("#text").press("Control+Home")
    page.locator("#text").press_sequentially("And so ")
    assert list_highlighted(page, "surprise-5", ".mirror").startswith("o|i|d|f")
    assert list_highlighted(page, "copied", ".mirror") == "copied from the training text"

    page.get_by_role("button", name="Options").click()
    page.get_by_role("checkbox", name="Tint surprising characters").uncheck()
    style = 'getComputedStyle(document.querySelector(".mirror"), "::highlight(surprise-5)")'
    assert page.evaluate(f"{style}.backgroundColor").endswith(", 0)")


def test_hostile_text_changes_nothing_and_outlives_a_reload(page: Any, server: FakeServer) -> None:
    server.texts, server.logprobs = [HOSTILE], (-9.0,)
    slide(page, "Temperature", "1.2")
    page.locator("#text").fill(HOSTILE)
    continue_text(page)
    assert list_offered(page)[0] == HOSTILE.rstrip()
    page.keyboard.press("Alt+1")
    written = HOSTILE + HOSTILE.rstrip()
    assert text_of(page) == written
    assert server.asked[0]["prompt"] == HOSTILE
    page.reload()  # at once: it is kept when the page closes
    assert text_of(page) == written
    assert list_highlighted(page, "surprise-5", ".mirror") == HOSTILE.rstrip()
    assert page.locator("output[for=temperature]").text_content() == "1.20"
    assert page.get_by_role("button", name="Undo").is_disabled()
    assert page.evaluate("window.struck") is None
    assert page.locator("img, body script").count() == 0
    assert page.locator(".mirror").text_content() == written + "\u200b"


def test_files_are_opened_as_drafts_or_refused(page: Any, tmp_path: Path) -> None:
    page.locator("#text").fill("As before.")
    for content, shown in (
        ('{"pieces": [{"text": 1}]}', "x.json is not an export of this page."),
        ("x" * 20_000_001, "x.json is larger than 20 MB."),
    ):
        (tmp_path / "x.json").write_text(content)
        page.locator("#file").set_input_files(tmp_path / "x.json")
        page.get_by_text(shown).wait_for()
    assert text_of(page) == "As before."
    (tmp_path / "plain.txt").write_bytes("Zürich\r\n👩\u200d🚀\n".encode())
    page.locator("#file").set_input_files(tmp_path / "plain.txt")
    until(lambda: text_of(page) == "Zürich\n👩\u200d🚀\n")
    page.get_by_role("button", name="Menu", exact=True).click()
    save(page, "Save as text", tmp_path / "draft.txt")
    assert (tmp_path / "draft.txt").read_bytes().decode() == "Zürich\n👩\u200d🚀\n"


def names(page: Any) -> list[str]:
    found: list[str] = page.locator("#shelf ol button").all_text_contents()
    return found


def test_several_drafts_are_created_renamed_opened_and_deleted(page: Any) -> None:
    page.locator("#text").fill("As before.")
    page.locator("#shelf-toggle").click()
    page.get_by_label("Name").fill("Old <b>one</b>")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    shelf(page, "New draft")
    assert text_of(page) == ""
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.keyboard.type("Mine.")
    shelf(page, "Old <b>one</b>")
    assert text_of(page) == "As before."
    shelf(page, "New draft")
    assert names(page) == ["Old <b>one</b>", "Draft 2", "Draft 3"]
    shelf(page, "Draft 2")
    page.reload()
    assert text_of(page) == "Mine."
    page.once("dialog", lambda dialog: dialog.dismiss())
    shelf(page, "Delete")
    assert text_of(page) == "Mine."
    for left in (["Old <b>one</b>", "Draft 3"], ["Draft 3"], ["Draft 1"]):
        page.once("dialog", lambda dialog: dialog.accept())
        shelf(page, "Delete")
        assert names(page) == left
    assert text_of(page) == ""


def test_all_drafts_and_lists_move_to_another_browser(
    chromium: Any, page: Any, server: FakeServer, tmp_path: Path
) -> None:
    server.texts, server.logprobs = [" to be."], (-9.0, -0.25)
    write(page, "Or not")
    page.keyboard.press("Alt+1")
    page.keyboard.type(". é")  # of two equal characters, the second
    shelf(page, "New draft")
    page.locator("#text").fill("Zürich, 👩\u200d🚀\n")
    page.get_by_role("switch", name="List").check()
    page.keyboard.press("Control+Enter")
    page.get_by_text("1 entries").wait_for()
    page.locator("#list li button").click()
    page.locator("#shelf-toggle").click()
    exported = save(page, "Export all", tmp_path / "charrnn.json")
    first, _ = json.loads(exported.read_text("utf-8"))["drafts"]
    bits = [13, 0.4] * 3 + [13]
    written = {"text": " to be.", "bits": bits}
    assert first["pieces"] == [{"text": "Or not"}, written, {"text": ". é"}]
    with watch_window(chromium, server.address, base_url=server.address) as context:
        other = context.new_page()
        other.goto("/")
        other.locator("#text").fill("Here.")
        other.locator("#file").set_input_files(exported)
        other.get_by_text("Imported 2 drafts and 1 lists.").wait_for()
        assert text_of(other) == "Zürich, 👩\u200d🚀\n"
        assert names(other) == ["Draft 1", "Draft 1", "Draft 2"]
        other.locator("#shelf-toggle").click()
        other.locator("#shelf ol button").nth(1).click()
        assert text_of(other) == "Or not to be.. é"
        assert list_highlighted(other, "surprise-5", ".mirror") == " |o|b|."
        other.get_by_role("switch", name="List").check()
        assert other.get_by_role("button", pressed=True).all_inner_texts() == ["to be."]


def test_a_draft_follows_from_another_window(context: Any, page: Any) -> None:
    other = context.new_page()
    other.goto("/")
    other.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    page.locator("#text").fill("Written here.")
    until(lambda: text_of(other) == "Written here.")


def test_a_copy_from_before_each_session_is_one_click_back(page: Any) -> None:
    for text in ("One.", "One. Two.", "One. Two. Three."):
        page.locator("#text").fill(text)
        page.reload()
    page.locator("#text").fill("Four.")
    page.get_by_role("button", name="Menu", exact=True).click()
    page.get_by_role("button", name="Earlier texts").click()
    copies = page.locator("#copies button")
    assert [text.split(" · ")[1] for text in copies.all_inner_texts()] == [
        "3 words", "2 words", "1 word",
    ]  # fmt: skip
    until(lambda: page.evaluate("document.activeElement.closest('#copies') !== null"))
    press(page, "Tab", "Enter")
    assert text_of(page) == "One. Two."
    page.keyboard.press("Control+z")
    assert text_of(page) == "Four."


def test_random_edits_keep_marks_mirror_and_history(page: Any, server: FakeServer) -> None:
    """Check that each line is a node, that the model's text alone is tinted, and undo and redo."""
    server.texts, server.logprobs = ["!" * 60], (-9.0,)
    write(page, "Random: ")
    page.keyboard.press("Alt+1")
    page.evaluate(
        """() => {
            const [field, undo, redo] = ["#text", "#undo", "#redo"].map((selector) =>
                document.querySelector(selector));
            const must = (holds, what) => { if (!holds) throw new Error(what); };
            const check = () => {
                const blocks = [...document.querySelectorAll(".mirror > div")];
                const shown = blocks.flatMap((block) => [...block.childNodes]);
                const lines = [...field.value.split(/(?<=\\n)/).filter(Boolean), "\\u200b"];
                must(shown.map(({ data }) => data).join("|") === lines.join("|"), "lines");
                const tints = new Map();
                for (const range of CSS.highlights.get("surprise-5")) {
                    const { startContainer: node, startOffset, endOffset } = range;
                    const tint = node.data.slice(startOffset, endOffset);
                    tints.set(node, (tints.get(node) ?? "") + tint);
                }
                const isTinted = (node) =>
                    (tints.get(node) ?? "") === node.data.replace(/[^!]/g, "");
                must(shown.every(isTinted), "tints");
                must([...tints.keys()].every((node) => node.isConnected), "tints of the past");
            };
            let state = 7;
            const random = (most) => (state = (state * 48271) % 2147483647) % (most + 1);
            for (let i = 0; i < 150; i++) {
                const start = random(field.value.length);
                const end = start + random(Math.min(i % 9 ? 2 : 9, field.value.length - start));
                field.setRangeText("ab👩\\nb\\n\\n".slice(random(8)), start, end, "end");
                field.dispatchEvent(new Event("input"));
                check();
            }
            const last = field.value;
            must(last.length > 99 && last.includes("!"), "too little text for a test");
            for (const [button, text] of [[undo, ""], [redo, last]]) {
                while (!button.disabled) {
                    button.click();
                    check();
                }
                must(field.value === text, button.id);
            }
        }"""
    )
