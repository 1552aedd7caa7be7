"""Share the steps of page tests, in windows in which no error may happen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from charrnn.extras.page.packing import pack_model
from charrnn.extras.page.rounding import RoundedModel
from charrnn.extras.page.writing_page import make_writing_page
from charrnn.generation.numpy_network import fold_weights
from charrnn.models.trained import TrainedModel
from tests.tools import until

soon = partial(until, seconds=10)

TEXT = "The cat sat on the mat; the rat sat on the cat.\n" * 40

# how a Chromium without a window is started
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic")

# windows into which axe is put as a script
SIZES = ((320, 640), (360, 400), (768, 740), (1920, 1080))
LOOKS: list[dict[str, Any]] = [
    {"viewport": {"width": width, "height": height}, "bypass_csp": True} for width, height in SIZES
]


@contextmanager
def watch_window(chromium: Any, address: str, **how: Any) -> Iterator[Any]:
    """Open a window with a separate storage, for pages of one address.

    Nothing is asked of another, nothing breaks the page's policy, no error is uncaught.

    Args:
        how: as of Playwright's `new_context`.
    """
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **how})
    context.set_default_timeout(10_000)
    wrong: list[str] = []

    def on_request(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            wrong.append(f"asked for {request.url}")

    def on_console(message: Any) -> None:
        if address.startswith("file:") or "Content Security Policy" in message.text:
            wrong.append(message.text)

    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("request", on_request)
    context.on("console", on_console)
    yield context
    context.close()
    assert wrong == []


@contextmanager
def open_file(chromium: Any, path: Path, *, first: str = "", **how: Any) -> Iterator[Any]:
    """Open a page that is a file, as by a double click.

    Args:
        first: a script that runs before those of the page.
    """
    address = path.resolve().as_uri()
    with watch_window(chromium, address, **how) as context:
        page = context.new_page()
        page.add_init_script(first)
        page.goto(address)
        yield page


def write_fake_page(path: Path) -> str:
    """Write a page whose engine is fake_worker.js, and return its address."""
    html = make_writing_page(b"", "Verse")
    fake = json.dumps((Path(__file__).parent / "fake_worker.js").read_text("utf-8"))
    start = html.index('id="engine">') + len('id="engine">')
    end = html.index("<", start)
    path.write_text(html[:start] + fake.replace("<", "\\u003c") + html[end:], "utf-8")
    return path.resolve().as_uri()


def pack(model: TrainedModel) -> bytes:
    return pack_model(RoundedModel(model, fold_weights(model)), "Verse", "Nobody's")


def write_page(folder: Path, model: TrainedModel) -> Path:
    (folder / "page.html").write_text(make_writing_page(pack(model), "Verse"), encoding="utf-8")
    return folder / "page.html"


def generate(page: Any, **asked: Any) -> str:
    text: str = page.evaluate("(asked) => window.charrnn.generate(asked)", asked)
    return text


def choose(page: Any, *files: tuple[str, str | bytes]) -> None:
    contents = [
        {
            "name": name,
            "mimeType": "text/plain",
            "buffer": text.encode() if isinstance(text, str) else text,
        }
        for name, text in files
    ]
    page.locator("#learn-file").set_input_files(contents)


def title_is(page: Any, title: str) -> None:
    page.locator("h1").get_by_text(title, exact=True).wait_for()


def fake(page: Any, **changes: Any) -> Any:
    """Change what the engine answers, and return the requests since the last change."""
    return page.evaluate("(changes) => charrnn.generate(changes)", changes)


def wait_until_written(page: Any) -> None:
    page.locator("#status").get_by_text("Written").wait_for()


def text_of(page: Any) -> str:
    value: str = page.locator("#text").input_value()
    return value


def list_offered(page: Any) -> list[str]:
    texts: list[str] = page.locator("#alternatives .text").all_text_contents()
    return texts


def list_words(page: Any, place: int) -> list[str]:
    """Return the words that the page offers after a click on a character of the draft."""
    click_character(page, place)
    page.locator("#word-menu li").first.wait_for()
    names = page.locator("#word-menu b").all_inner_texts()
    return [name.strip("“”") for name in names]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def continue_text(page: Any) -> None:
    """Ask for continuations, and wait until they are written."""
    page.keyboard.press("Escape")
    page.locator("#text").press("Control+Enter")
    page.locator("#status").get_by_text("Written").wait_for()


def write(page: Any, text: str) -> None:
    """Write a text and its continuations, until the page has finished."""
    page.locator("#text").press_sequentially(text)
    settle(page)


def settle(page: Any) -> None:
    """Wait until the page, which writes along, has written after a change."""
    page.wait_for_timeout(400)
    wait_until_written(page)


def set_option(page: Any, name: str, to: Any) -> None:
    """Set a field that may be out of sight."""
    script = """(field, to) => {
        if (field.type === "checkbox") field.checked = to;
        else field.value = to;
        field.dispatchEvent(new Event("input", { bubbles: true }));
    }"""
    page.locator(f"#{name}").evaluate(script, to)


def shelf(page: Any, button: str) -> None:
    """Open the side list, and press one of its buttons."""
    page.locator("#shelf-toggle").click()
    page.locator("#shelf").get_by_role("button", name=button, exact=True).click()


def save(page: Any, button: str, path: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    download.value.save_as(path)
    return path


def click_character(page: Any, place: int, selector: str = ".mirror") -> None:
    """Touch the middle of a character of the draft, or of another text."""
    box = page.evaluate(
        """([place, selector]) => {
            const range = document.createRange();
            const nodes = document.createTreeWalker(document.querySelector(selector), 4); // texts
            for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
                if (place < node.length) {
                    range.setStart(node, place);
                    range.setEnd(node, place + 1);
                    return range.getBoundingClientRect().toJSON();
                }
                place -= node.length;
            }
        }""",
        [place, selector],
    )
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


# the visible fields whose type is smaller than 16 pixels, and targets that are lower than 24
SMALL = """[...document.querySelectorAll("button, input, select, textarea")].filter((each) => {
    const isSmall = each.matches("select, textarea, [type=text]")
        && parseFloat(getComputedStyle(each).fontSize) < 16;
    return each.checkVisibility() && (isSmall || each.getBoundingClientRect().height < 24);
}).map((each) => each.id || each.textContent)"""


def looks_right(page: Any, *whole: str) -> None:
    """Check in light and dark that axe finds nothing, and that nothing is cut off."""
    from axe_playwright_python.sync_playwright import Axe

    for scheme, background in (("light", "rgb(251, 250, 246)"), ("dark", "rgb(25, 24, 22)")):
        page.emulate_media(color_scheme=scheme)
        colour = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(colour) == background
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"]) for rule in found] == []
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    assert page.evaluate(SMALL) == []
    for selector in whole:
        for element in page.locator(selector).all():
            box = element.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= page.viewport_size["width"]
            assert box["y"] + box["height"] <= page.viewport_size["height"]
