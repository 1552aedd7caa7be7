"""The page of a server that learns: a text is counted, then a network on the server takes over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.steps import (
    LOOKS,
    continue_text,
    list_offered,
    looks_right,
    open_file,
    save,
    slide,
    wait_for_models,
    watch_window,
)
from tests.browser.test_learning import choose, drop
from tests.extras.serve.servers import Server, serving
from tests.extras.serve.trainings.tiny import TINY, write_text
from tests.waiting import until

pytestmark = pytest.mark.browser

WORDS = tuple(word.replace("max_steps=2000", "max_steps=6000") for word in TINY)
PATCH = f"import charrnn.extras.serve.trainings.worker as w; w.WORDS = {WORDS!r}"
TEACHER = "Schöne Aussicht"
SLOW = 90_000  # milliseconds, for the start of a training's process


@contextmanager
def learning_in(folder: Path, *options: str) -> Iterator[Server]:
    """Start a server without a model that learns in a folder."""
    for name in ("fastapi", "uvicorn", "fastapi_offline"):
        pytest.importorskip(name, reason="needs the extra serve")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with serving("min_free=0", *options, patch=PATCH) as server:
            yield server


@pytest.fixture(scope="module")
def learning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = (f"teacher_token={TEACHER}", "max_text=60000", "max_trainings=3")
    with learning_in(tmp_path_factory.mktemp("learning"), *options) as server:
        yield server


@contextmanager
def browser_of(chromium: Any, server: Server, **how: Any) -> Iterator[Any]:
    """Open the page in a browser that the server has not seen."""
    address = f"{server.url}/"
    with watch_window(chromium, address, base_url=address, **how) as context:
        page = context.new_page()
        page.goto("/")
        page.locator("#learn").wait_for(state="attached")
        yield page


def learn(page: Any, name: str, text: bytes) -> None:
    choose(page, f"{name}.txt", text)
    page.locator("#continue").wait_for()


def open_texts(page: Any) -> Any:
    page.locator("#learn").wait_for(state="attached")
    if page.locator("#learn-open").is_visible():
        page.locator("#learn-open").click()
    return page.locator("#trainings")


def open_text(page: Any, name: str) -> Any:
    item = open_texts(page).locator("> ol > li").filter(has=page.get_by_text(name, exact=True))
    if not item.get_by_role("button", name="Train again").is_visible():
        item.locator("summary").first.click()
    return item


def confirm(region: Any, name: str) -> None:
    """Click a button that deletes, and the same one in the question that takes its place."""
    region.get_by_role("button", name=name).click()
    region.locator(".question").get_by_role("button", name=name).click()


def menu(page: Any) -> list[str]:
    labels: list[str] = page.locator("#model option").all_text_contents()
    return labels


def has_model(page: Any, label: str) -> None:
    option = page.locator("#model option").filter(has_text=re.compile(f"^{re.escape(label)}$"))
    option.wait_for(state="attached", timeout=SLOW)


def test_a_text_is_counted_until_its_network_is_there(
    chromium: Any, learning: Server, tmp_path: Path
) -> None:
    with browser_of(chromium, learning) as page:
        page.get_by_role("button", name="Choose a file").wait_for()
        drop(page, "cats.txt", write_text().decode())
        page.locator("#continue").wait_for()
        assert menu(page) == ["cats · counted in this browser"]
        page.locator("#text").fill("the c")
        continue_text(page)
        assert list_offered(page)[0].startswith("at")
        page.get_by_text("cats · ").last.wait_for()  # its state, at the bottom
        page.close()  # the server continues
        page = page.context.new_page()
        page.goto("/")
        item = open_text(page, "cats")
        item.get_by_text("What it wrote at step").wait_for(timeout=SLOW)
        item.get_by_role("button", name="Stop", exact=True).click()
        item.get_by_text("Stopped").wait_for()
        curve = item.get_by_role("img")
        pattern = (
            r"Loss in nats a character\. Training: \d\.\d\d at step \d+, .* Validation: \d\.\d"
        )
        assert re.match(pattern, curve.get_attribute("aria-label"))
        assert len(item.locator("polyline.train").get_attribute("points").split()) > 3
        item.get_by_role("button", name="Go on").click()
        item.get_by_text(re.compile("Starts|Trains:")).wait_for(timeout=SLOW)
        has_model(page, "cats · network")
        assert len(menu(page)) == 1
        item.get_by_text("characters. Its network (LSTM) has 1 layer of 16 units").wait_for()
        item.get_by_role("button", name="Write with it").click()
        slide(page, "Length", "0")
        with page.expect_request("**/v1/completions") as asked:
            continue_text(page)
        assert asked.value.post_data_json["model"] == "cats"
        item = open_text(page, "cats")
        home = save(page, "Take home (a page)", tmp_path / "home.html")
        item.get_by_role("button", name="Delete").click()
        item.get_by_role("button", name="Keep").click()
        confirm(item, "Delete")
        item.wait_for(state="detached")
        until(lambda: menu(page) == [])
    with open_file(chromium, home) as page:
        continue_text(page)
        assert page.title() == "cats"


def test_two_owners_and_a_teacher(chromium: Any, learning: Server) -> None:
    with ExitStack() as browsers:
        anna, ben, tablet, teacher = (
            browsers.enter_context(browser_of(chromium, learning)) for _ in range(4)
        )
        learn(anna, "<img src=x onerror='window.struck = 1'>diary", write_text(3))
        item = open_text(anna, "img src=x onerror='window.struck = 1' diary")
        field = item.get_by_label("Name")
        field.fill("<b>Anna's")
        field.press("Enter")
        anna.locator("#trainings").get_by_text("b Anna's", exact=True).wait_for()
        item = open_text(anna, "b Anna's")
        has_model(anna, "b Anna's · network")
        assert anna.evaluate("window.struck") is None
        ben.reload()
        ben.get_by_role("button", name="Choose a file").wait_for()
        assert menu(ben) == []  # there is nothing for him
        item.get_by_role("button", name="Share with the class").click()
        item.get_by_role("button", name="Hide from the class").wait_for()
        ben.reload()
        has_model(ben, "b Anna's · network")
        ben.get_by_role("button", name="Back").click()
        continue_text(ben)
        assert open_texts(ben).locator("> ol > li").count() == 0
        # her words lead to her text in another browser
        anna.get_by_text("On another device", exact=True).click()
        words = anna.locator("#own-words").text_content()
        assert len(words.split()) == 3
        texts = open_texts(tablet)
        texts.get_by_text("On another device", exact=True).click()
        texts.get_by_label("The words of another device").fill("open sesame")
        texts.get_by_role("button", name="Come back").click()
        texts.get_by_role("alert").get_by_text("No texts have these three words").wait_for()
        texts.get_by_label("The words of another device").fill(f"{words.upper()}.")
        texts.get_by_role("button", name="Come back").click()
        open_text(tablet, "b Anna's").get_by_role("button", name="Delete").wait_for()
        # the teacher sees all, and ends the lesson
        texts = open_texts(teacher)
        texts.get_by_text("For the teacher", exact=True).click()
        for word, answer in (("x", "This is not the teacher's word."), (TEACHER, "You see the")):
            texts.get_by_label("The teacher's word").fill(word)
            texts.get_by_role("button", name="Show all texts").click()
            texts.get_by_text(answer).wait_for()
        item = open_text(teacher, "b Anna's")
        item.get_by_text("of another browser").wait_for()
        item.get_by_role("button", name="Hide from the class").click()
        ben.reload()
        ben.get_by_role("button", name="Choose a file").wait_for()
        confirm(texts, "End the lesson")
        texts.locator("> ol").wait_for(state="hidden")
        assert teacher.evaluate("JSON.stringify(localStorage)").find("Aussicht") < 0


def test_what_the_server_takes_and_what_it_refuses(chromium: Any, learning: Server) -> None:
    with browser_of(chromium, learning) as page:
        for content, part in (
            ("a line\n" * 9000, "a.txt is longer than 60,000 characters"),
            ("Zoë, " * 11_000, "This text is too large for the server"),
        ):
            choose(page, "a.txt", content)
            page.get_by_role("alert").get_by_text(part).wait_for()
        path = f"{learning.url}/v1/trainings"
        choose(page, "book.rtf", rb"{\rtf1\ansi " + rb"The cat sat.\par " * 50 + b"}")
        page.locator("#continue").wait_for()
        assert menu(page) == ["book · counted in this browser"]
        confirm(open_text(page, "book"), "Delete")
        until(lambda: menu(page) == [])
        page.get_by_text("Options", exact=True).first.click()
        page.locator("#option-name").fill("Smok")
        choose(page, "wawel.txt", ("Był późny wieczór, świeciły gwiazdy.\n" * 20).encode("cp1250"))
        page.get_by_role("button", name="This is right").click()
        page.locator("#continue").wait_for()
        assert menu(page) == ["Smok · counted in this browser"]
        [training] = page.request.get(path).json()["data"]
        assert "późny wieczór" in page.request.get(f"{path}/{training['id']}/text").text()
        # too many wait, and one is counted only here
        for number in (1, 2, 3, 4):
            open_texts(page)
            learn(page, f"text {number}", write_text(number))
        page.get_by_role("alert").get_by_text("Too many texts are waiting").wait_for()
        assert "text 4 · counted in this browser" in menu(page)
        page.locator("#text").fill("the c")
        continue_text(page)
        for training in page.request.get(path).json()["data"]:
            page.request.delete(f"{path}/{training['id']}")


def test_the_page_comes_back_with_its_server(chromium: Any, learning: Server) -> None:
    with browser_of(chromium, learning) as page:
        learn(page, "kept", write_text(5))
        page.context.set_offline(True)
        page.locator("#notice").get_by_text("The server does not answer.").wait_for()
        assert page.get_by_role("alert").is_hidden()
        page.context.set_offline(False)
        until(lambda: page.locator("#notice").text_content() == "")
        page.reload()  # it is counted again, from the server's text
        wait_for_models(page)
        page.locator("#text").fill("the c")
        continue_text(page)
        confirm(open_text(page, "kept"), "Delete")
        page.locator("#trainings > ol > li").wait_for(state="detached")


@pytest.mark.parametrize("look", LOOKS)
def test_the_texts_of_the_server_are_accessible_and_nothing_is_cut_off(
    chromium: Any, learning: Server, look: dict[str, Any]
) -> None:
    with browser_of(chromium, learning, **look) as page:
        looks_right(page)
        name = f"A text with a name of some length {look['viewport']}"[:50]
        learn(page, name, write_text(look["viewport"]["width"] + look["viewport"]["height"]))
        looks_right(page, "#continue")
        item = open_text(page, name)
        page.locator("#trainings details").evaluate_all("all => all.map((it) => it.open = true)")
        looks_right(page)
        item.get_by_role("button", name="Delete").click()
        looks_right(page)
        item.get_by_role("button", name="Keep").click()
        confirm(item, "Delete")
        item.wait_for(state="detached")


def test_the_page_needs_no_secure_context(chromium: Any, tmp_path: Path) -> None:
    with learning_in(tmp_path, "host=0.0.0.0", "learn=true") as server:
        # as from another machine, unlike the loopback address
        server.url = f"http://0.0.0.0:{server.url.rpartition(':')[2]}"
        with browser_of(chromium, server) as page:
            assert page.evaluate("isSecureContext") is False
            learn(page, "afar", write_text(7))
            page.locator("#text").fill("the c")
            continue_text(page)
            item = open_text(page, "afar")
            item.get_by_text("It trains for 2 minutes at most.").wait_for()
            page.get_by_text("On another device", exact=True).click()
            assert len(page.locator("#own-words").text_content().split()) == 3
