"""Pictures of the page of `charrnn inspect` for docs/.

python -m tests.browser.inspect_pictures shakespeare.html python.html docs

The pages are of models of Shakespeare and of the source of Python's standard library.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.chromium import ARGUMENTS

# name, which page, width, height, scheme, scrolled to in the passage, feature, whether it is off,
# from where on the page is seen
PICTURES = (
    ("inspect", 0, 1280, 1000, "light", 0, "position in the line", False, ""),
    ("inspect-held", 0, 1280, 820, "light", 1800, "position in the line", True, "#reader"),
    ("inspect-writing", 0, 1280, 420, "light", 0, "position in the line", True, "#writing"),
    ("inspect-code", 1, 768, 1000, "dark", 800, "inside single quotes", False, "#reader"),
    ("inspect-phone", 1, 360, 740, "light", 300, "inside an indentation", False, "#reader"),
)


def main(pages: list[Path], folder: Path) -> None:
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        for name, which, width, height, scheme, top, feature, off, seen in PICTURES:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            page.goto(pages[which].resolve().as_uri())
            settle(page)
            page.locator("#features summary").filter(has_text=feature).first.click()
            page.locator("#sheet").evaluate("(sheet, top) => { sheet.scrollTop = top; }", top)
            if off:
                page.get_by_role("button", name="Switch off").click()
            if seen:
                page.locator(seen).evaluate("(it) => it.scrollIntoView()")
            page.wait_for_timeout(500)
            settle(page)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(128).save(folder / f"{name}.png", optimize=True)
            context.close()
        browser.close()


def settle(page: Any) -> None:
    while not page.evaluate("charrnn.ready && charrnn.reading.done && charrnn.writing.done"):
        time.sleep(0.05)


if __name__ == "__main__":
    main([Path(path) for path in sys.argv[1:3]], Path(sys.argv[3]))
