"""A page that learns a text in the browser, writes with it, and is saved with it."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pytest

from charrnn.extras.page.writing_page import make_learning_page
from tests.browser.steps import LOOKS, looks_right, open_file, save, text_of
from tests.browser.test_exported import cards, generate, write_page
from tests.generation.models import make_model
from tests.waiting import until

pytestmark = pytest.mark.browser

TEXT = "The cat sat on the mat; the rat sat on the cat.\n" * 40
OTHER = "Ein Anderer, ein Älterer, saß am Ufer und aß.\r\n" * 40
NAMES = "".join(f"{a}{b}{c}ing\n" for a in ("An", "Bo", "Ün") for b in "aeiouy" for c in "klmn")


@pytest.fixture
def learner(tmp_path: Path) -> Path:
    path = tmp_path / "learn.html"
    path.write_text(make_learning_page(), "utf-8")
    return path


def choose(page: Any, name: str, text: str | bytes) -> None:
    content = text.encode() if isinstance(text, str) else text
    file = {"name": name, "mimeType": "text/plain", "buffer": content}
    page.locator("#learn-file").set_input_files(file)


def drop(page: Any, name: str, text: str) -> None:
    """Drop a file on the page, wherever the pointer is."""
    script = """([name, text]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([text], name));
        return transfer;
    }"""
    transfer = page.evaluate_handle(script, [name, text])
    for event in ("dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})


def title_is(page: Any, title: str) -> None:
    page.locator("h1").get_by_text(title, exact=True).wait_for()


def test_every_text_has_its_drafts_and_is_not_stored(chromium: Any, learner: Path) -> None:
    with open_file(chromium, learner) as page:
        assert not page.locator("#text").is_visible()
        drop(page, "cats.txt", TEXT)
        title_is(page, "cats")
        page.locator("#text").press_sequentially("The c")
        until(lambda: all(text.startswith("at") for text in cards(page)))
        drop(page, "Ufer.md", OTHER)
        title_is(page, "Ufer")
        assert page.title() == "Ufer"
        assert text_of(page) == ""
        assert all(set(text) <= set(OTHER) for text in cards(page))
        page.locator("#text").fill("Ein Älterer")
        page.get_by_role("button", name="Another text").click()
        page.get_by_role("button", name="Back").click()
        assert text_of(page) == "Ein Älterer"
        page.get_by_role("button", name="Another text").click()
        choose(page, "cats.txt", TEXT)
        title_is(page, "cats")
        assert text_of(page) == "The c"
        stored = page.evaluate("Object.values(localStorage).join()")
        assert "The c" in stored
        assert "cat sat" not in stored


def test_a_pasted_list_is_shuffled_and_written_as_a_list(chromium: Any, learner: Path) -> None:
    with open_file(chromium, learner) as page:
        page.get_by_label("Or paste a text").fill(NAMES)
        page.get_by_role("button", name="Write with this text").click()
        title_is(page, "Anaking")
        page.get_by_text("Counted in this browser; with a network (charrnn train)").wait_for()
        page.get_by_role("button", name="Write a list").click()
        page.get_by_text("of the training text left out").wait_for()
        entries = page.locator("#list li button").all_text_contents()
        assert not {*entries} & {*NAMES.split("\n")}
        page.get_by_role("button", name="About").click()
        assert page.locator("#card dd").all_text_contents()[1] == f"{len(set(NAMES))} characters"


REFUSED = {
    "scan.pdf": (b"%PDF-1.7 " * 99, "scan.pdf is a PDF: copy its text and paste it here."),
    "book.docx": (b"PK\x03\x04" * 200, "This page cannot read .docx files. Save the text as plain"),
    "noise.txt": (bytes(range(256)) * 9, "noise.txt is not a text: choose a text file."),
    "short.txt": (b"a b" * 100, "short.txt has only 300 characters: take one of 400 or more."),
    "one.txt": (b"a" * 500, "one.txt repeats one character"),
    "long.txt": (b"a b\n" * 250_001, "long.txt is longer than 1,000,000 characters: take a part"),
}


def test_a_file_that_is_no_text_is_refused_in_a_line(chromium: Any, learner: Path) -> None:
    with open_file(chromium, learner) as page:
        for name, (content, part) in REFUSED.items():
            choose(page, name, content)
            page.get_by_role("alert").get_by_text(part).wait_for()
        assert not page.get_by_role("button", name="Back").is_visible()
        choose(page, "utf16.txt", codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"))
        title_is(page, "utf16")
        drop(page, "<b>.txt", "")
        page.get_by_role("alert").get_by_text("<b>.txt is empty").wait_for()
        page.get_by_role("button", name="Back").click()
        assert len(cards(page)) == 3


# the text of each, its encoding, and a part of it that only this encoding gives
OLD = {
    "smok": ("Był późny wieczór, świeciły gwiazdy.\n" * 20, "windows-1250", "późny"),
    "wind": ("Ветер, ветер, ты могуч.\n" * 30, "koi8-r", "ветер"),
    "neko": ("吾輩は猫である。名前はまだ無い。\n" * 40, "shift_jis", "猫"),
    "said": ("“It’s late,” he said…\n" * 40, "windows-1252", "It’s"),
}


def test_the_encoding_of_an_old_file_is_asked_for(chromium: Any, learner: Path) -> None:
    with open_file(chromium, learner) as page:
        lines = page.locator("#learn-encoding pre")
        for name, (text, encoding, part) in OLD.items():
            choose(page, f"{name}.txt", text.encode(encoding))
            page.get_by_text(f"{name}.txt is not in UTF-8. Are these lines right?").wait_for()
            assert page.get_by_label("Encoding").input_value() == encoding
            assert part in lines.text_content()
            page.keyboard.press("Enter")
            title_is(page, name)
        choose(page, "Fluss.txt", OTHER.encode("cp1252"))
        page.get_by_label("Encoding").select_option("windows-1251")
        assert "ein Дlterer" in lines.text_content()
        page.get_by_role("button", name="None is right").click()
        page.get_by_role("alert").get_by_text("Fluss.txt was not read.").wait_for()


def test_every_exported_page_learns_texts_and_is_taken_home_with_the_drafts(
    chromium: Any, tmp_path: Path
) -> None:
    with open_file(chromium, write_page(tmp_path, make_model())) as page:
        cards(page)
        page.locator("#text").fill("Mine")
        page.get_by_role("button", name="Write with your own text").click()
        choose(page, "cats.txt", TEXT)
        title_is(page, "cats")
        assert text_of(page) == ""
        page.locator("#text").fill("The </script> & <b>")
        expected = generate(page, length=300, seed=3)
        home = save(page, "Take home", tmp_path / "cats.html")
        page.reload()
        title_is(page, "Verse")
        assert text_of(page) == "Mine"
    content = home.read_text("utf-8")
    assert 'id="packed-model">null<' in content
    assert "at sat on the mat; the rat" not in content
    for _ in range(2):  # it can be taken home from there
        with open_file(chromium, home) as page:
            title_is(page, "cats")
            until(lambda: text_of(page) == "The </script> & <b>")
            assert generate(page, length=300, seed=3) == expected
            home = save(page, "Take home", tmp_path / "again.html")


@pytest.mark.parametrize("look", LOOKS)
def test_the_learning_page_is_accessible_and_nothing_is_cut_off(
    chromium: Any, learner: Path, look: dict[str, Any]
) -> None:
    with open_file(chromium, learner, **look) as page:
        looks_right(page)
        choose(page, "empty.txt", "")
        page.get_by_role("alert").get_by_text("empty.txt is empty").wait_for()
        looks_right(page)
        choose(page, "Fluss.txt", OTHER.encode("cp1252"))
        page.get_by_text("Are these lines right?").wait_for()
        looks_right(page)
        page.get_by_role("button", name="None is right").click()
        choose(page, "A text with a name of some length.txt", TEXT)
        cards(page)
        looks_right(page, "#continue")
        if look != LOOKS[0]:  # a low window hides it
            page.get_by_role("button", name="About").click()
            looks_right(page, "#continue", "#about button:not([hidden])")
