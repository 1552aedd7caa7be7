"""Take the pictures in docs/: screenshots of pages in headless Chromium.

    python -m docs.pictures page page.html docs/writing-page
    python -m docs.pictures list names.html docs/writing-page
    python -m docs.pictures gallery code.html docs/gallery-code
    python -m docs.pictures tensorboard http://127.0.0.1:6006 docs/tensorboard

Use a model of Shakespeare, and a sweep in TensorBoard.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.steps import ARGUMENTS

BEGINNING = """MENENIUS:
I tell you, friends, most charitable care
Have the patricians of you. For your wants,
"""
SETTLED = 4000  # milliseconds that a page needs to draw everything


class Picture(NamedTuple):
    """A picture: the end of its name, its size, its colours, and an action on the page before."""

    end: str
    width: int
    height: int
    scheme: str
    act: Callable[[Any], object]
    address: str = ""


def write_text(*taken: bool) -> Callable[[Any], None]:
    """Write a beginning and request continuations; take those whose value in `taken` is True."""

    def act(page: Any) -> None:
        page.locator("#text").fill(BEGINNING)
        for take in taken:
            page.wait_for_timeout(600)  # The page writes after a pause.
            page.get_by_text("Written").wait_for()
            if take:
                page.keyboard.press("Alt+1")

    return act


def write_from_nothing(page: Any) -> None:
    """Let the page write without a beginning: a list if the model writes lists, or a text."""
    page.locator("h1").wait_for()
    if page.get_by_role("switch", name="List").is_checked():
        page.get_by_role("button", name="Write a list").click()
    else:
        page.locator("#text").press("Control+Enter")


def write_list(page: Any) -> None:
    """Write a list, and star some of them."""
    page.get_by_role("switch", name="List").check()
    page.get_by_role("button", name="Write a list").click()
    page.locator("#status").get_by_text(re.compile(r"\d entries")).wait_for()
    for number in (0, 3, 5):
        page.locator("#list li").nth(number).click()
    page.mouse.move(0, 0)


def show_scalars(page: Any) -> None:
    page.wait_for_timeout(SETTLED)
    page.get_by_role("button", name="Settings").first.click()
    page.locator('input[placeholder="Filter tags (regex)"]').fill("loss")
    page.keyboard.press("Escape")


def show_text(page: Any) -> None:
    page.locator("button", has_text="config").first.click()  # closes it; samples follow


PICTURES = {
    "page": (
        Picture("", 1280, 800, "light", write_text(True, False)),
        Picture("-dark", 768, 720, "dark", write_text(True, True, False)),
        Picture("-phone", 360, 720, "light", write_text(True, False)),
    ),
    "gallery": (Picture("", 768, 480, "light", write_from_nothing),),
    "list": (Picture("-list", 960, 560, "light", write_list),),
    "tensorboard": (
        Picture("", 1400, 640, "light", show_scalars, "#timeseries"),
        Picture("-text", 1400, 560, "light", show_text, "#text"),
    ),
}


def main(what: str, address: str, name: str) -> None:
    """Take the pictures of a group; `name` is the start of their file names."""
    if not address.startswith("http"):
        address = Path(address).resolve().as_uri()
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        for picture in PICTURES[what]:
            context = browser.new_context(
                viewport={"width": picture.width, "height": picture.height},
                device_scale_factor=2 if picture.width < 500 else 1,
                color_scheme=picture.scheme,
                has_touch=picture.width < 500,
            )
            page = context.new_page()
            page.add_init_script("Math.random = () => 3 / 2 ** 31")  # the same texts each time
            page.goto(address + picture.address)
            picture.act(page)
            page.wait_for_timeout(SETTLED)
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            image.quantize(128).save(f"{name}{picture.end}.png", optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
