"""A page that learns a text in the browser, writes with it, and is saved with it."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from charrnn.extras.page.writing_page import make_learning_page
from tests.browser.office_files import P, T, docx
from tests.browser.steps import (
    TEXT,
    choose,
    generate,
    list_offered,
    open_file,
    save,
    settle,
    shelf,
    soon,
    text_of,
    title_is,
    wait_until_written,
    watch_window,
    write_page,
)
from tests.extras.serve.servers import add_run, serving
from tests.generation.models import make_model

pytestmark = pytest.mark.browser

OTHER = "Ein Anderer, ein Älterer, saß am Ufer und aß.\r\n" * 40
NAMES = "".join(f"{a}{b}{c}ing\n" for a in ("An", "Bo", "Ün") for b in "aeiouy" for c in "klmn")


@pytest.fixture
def learner(tmp_path: Path) -> Path:
    path = tmp_path / "learn.html"
    path.write_text(make_learning_page(), "utf-8")
    return path


def drop(page: Any, name: str, content: str | bytes) -> None:
    """Drop a file on the page, wherever the pointer is."""
    script = """([name, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], name));
        return transfer;
    }"""
    data = content.encode() if isinstance(content, str) else content
    transfer = page.evaluate_handle(script, [name, [*data]])
    for event in ("dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})


def test_every_text_has_its_drafts_and_is_forgotten(chromium: Any, learner: Path) -> None:
    with open_file(chromium, learner) as page:
        page.get_by_label("Paste a text, or drop files").wait_for()
        assert not page.locator("#text").is_visible()
        drop(page, "cats.txt", TEXT)
        title_is(page, "cats")
        page.locator("#text").press_sequentially("The c")
        soon(lambda: all(text.startswith("at") for text in list_offered(page)))
        drop(page, "Ufer.md", OTHER)
        title_is(page, "Ufer")
        assert page.title() == "Ufer"
        assert text_of(page) == ""
        wait_until_written(page)
        assert all(set(text) <= set(OTHER) for text in list_offered(page))
        page.locator("#text").fill("Ein Älterer")
        shelf(page, "Write with your own text")
        page.get_by_role("button", name="Back").click()
        assert text_of(page) == "Ein Älterer"
        page.get_by_label("Model").select_option("cats (counted)")
        title_is(page, "cats")
        soon(lambda: text_of(page) == "The c")
        stored = page.evaluate("Object.values(localStorage).join()")
        assert "The c" in stored
        assert "cat sat" not in stored
        choose(page, ("cats.txt", f"{TEXT}More."))  # it has grown
        soon(lambda: "M" in page.evaluate("charrnn.vocabulary"))
        soon(lambda: text_of(page) == "The c")
        page.once("dialog", lambda dialog: dialog.accept())
        shelf(page, "Forget this text and its drafts")
        page.get_by_label("Paste a text, or drop files").wait_for()
        choose(page, ("cats.txt", TEXT))
        title_is(page, "cats")
        assert text_of(page) == ""


def test_a_dropped_document_is_learned_and_written_from(chromium: Any, learner: Path) -> None:
    paragraphs = [line.replace("rat", "r\u00adat") for line in TEXT.split("\n") if line]
    with open_file(chromium, learner, locale="de") as page:
        drop(page, "letter.rtf", rb"{\rtf1 a}")
        page.get_by_role("alert").get_by_text("letter.rtf: Dies ist eine .rtf-Datei.").wait_for()
        drop(page, "cats.docx", docx("".join(P(T(line)) for line in paragraphs)))
        title_is(page, "cats")
        assert {*page.evaluate("charrnn.vocabulary")} == {*TEXT}
        assert generate(page, length=9, start_text="The cat sat on the ma")[0] == "t"
        page.set_viewport_size({"width": 390, "height": 640})
        page.get_by_role("switch", name="Liste").check()
        button = page.get_by_role("button", name="Liste schreiben").bounding_box()
        assert button["x"] + button["width"] <= 390


def test_other_files_are_refused_in_one_line(chromium: Any, learner: Path) -> None:
    with open_file(chromium, learner) as page:
        choose(page, ("noise.txt", bytes(range(256)) * 9))
        told = page.get_by_role("alert")
        told.get_by_text("noise.txt is not a text in UTF-8: save it as plain").wait_for()
        assert not page.get_by_role("button", name="Back").is_visible()
        choose(page, ("utf16.txt", codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")))
        title_is(page, "utf16")
        drop(page, "<b>.txt", "")
        told.get_by_text("<b>.txt is empty").wait_for()
        page.evaluate(
            "() => { Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException()) }"
        )
        drop(page, "folder", "")
        told.get_by_text("folder is a folder, or is no longer").wait_for()
        page.get_by_role("button", name="Back").click()


def test_every_page_learns_texts_and_is_taken_home(chromium: Any, tmp_path: Path) -> None:
    with open_file(chromium, write_page(tmp_path, make_model())) as page:
        wait_until_written(page)
        page.locator("#text").fill("Mine")
        shelf(page, "Write with your own text")
        choose(page, ("cats.txt", TEXT))
        title_is(page, "cats")
        assert text_of(page) == ""
        page.locator("#text").fill("The mat")
        settle(page)
        expected = generate(page, length=300, seed=3)
        page.locator("#shelf-toggle").click()
        home = save(page, "Take home", tmp_path / "cats.html")
        page.reload()
        title_is(page, "Verse")
        soon(lambda: text_of(page) == "Mine")
    content = home.read_text("utf-8")
    assert json.dumps(TEXT)[1:300] not in content
    for _ in range(2):  # it can be taken home from there
        with open_file(chromium, home) as page:
            title_is(page, "cats")
            assert text_of(page) == ""
            assert generate(page, length=300, seed=3) == expected
            page.locator("#shelf-toggle").click()
            home = save(page, "Take home", tmp_path / "again.html")


def test_the_text_stays_chosen_when_the_server_has_ended(chromium: Any, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    add_run(tmp_path / "main", 1)
    with (
        serving(str(tmp_path)) as server,
        watch_window(chromium, server.url, base_url=server.url) as context,
    ):
        page = context.new_page()
        page.goto("/")
        title_is(page, "main")
        choose(page, ("cats.txt", TEXT))
        title_is(page, "cats")
        server.process.kill()
        server.wait()
        page.get_by_label("Model").select_option("model main")
        page.get_by_text("The server does not answer.").wait_for()
        assert page.get_by_label("Model").input_value() == "text cats"


def test_a_server_trains_a_network_on_a_learnt_text(
    chromium: Any, workplace: Path, tmp_path: Path
) -> None:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    asked: dict[str, Any] = {"length": 200, "seed": 5}
    with serving() as server, watch_window(chromium, server.url, base_url=server.url) as context:
        page = context.new_page()
        page.goto("/")
        choose(page, ("cats.txt", TEXT))
        title_is(page, "cats")
        wait_until_written(page)
        counted = generate(page, **asked)
        page.get_by_role("button", name="Train a network").click()
        page.get_by_text("writes better than counts").wait_for(timeout=240_000)
        assert page.locator("#trainings polyline").get_attribute("points")
        page.keyboard.press("Escape")
        page.get_by_label("Model").select_option(label="cats")
        soon(lambda: generate(page, **asked) != counted)
        page.get_by_label("Model").select_option("cats (counted)")
        soon(lambda: generate(page, **asked) == counted)
        page.locator("#shelf-toggle").click()
        home = save(page, "Take home", tmp_path / "cats.html").read_text("utf-8")
    head = home[: home.index("<style>")]
    assert "worker-src blob:" in head
    assert "connect-src" not in head
    assert "data-served" not in head
