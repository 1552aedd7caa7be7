"""Pictures of the page for docs/, of `charrnn serve` or of `charrnn export`.

    python -m tests.browser.screenshots http://127.0.0.1:8080 docs/writing-page
    python -m tests.browser.screenshots page.html docs/exported-page

The model is one of Shakespeare.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.chromium import ARGUMENTS
from tests.browser.steps import set_field

BEGINNING = """MENENIUS:
I tell you, friends, most charitable care
Have the patricians of you. For your wants,
"""
# end of the name, width, height, scheme, whether one continuation is taken in the end
PICTURES = (
    ("", 1280, 800, "light", False),
    ("-dark", 768, 720, "dark", True),
    ("-phone", 360, 720, "light", False),
)


def main(address: str, name: str) -> None:
    """Make the pictures whose names begin so."""
    if not address.startswith("http"):
        address = Path(address).resolve().as_uri()
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        for end, width, height, scheme, takes in PICTURES:
            phone = width < 500
            context = browser.new_context(
                viewport={"width": width, "height": height},
                device_scale_factor=2 if phone else 1,
                color_scheme=scheme,
                has_touch=phone,
            )
            page = context.new_page()
            page.goto(address)
            page.locator("#model option").first.wait_for(state="attached")
            set_field(page, "seed", "3")
            page.locator("#text").fill(BEGINNING)
            page.wait_for_timeout(600)  # a page that writes along has begun
            for take in (True, takes, False):
                page.locator("#text").press("Control+Enter")
                page.get_by_text("characters a second").wait_for()
                if take:
                    page.keyboard.press("Alt+1")
            page.wait_for_timeout(2000)  # until copies are underlined
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(96).save(f"{name}{end}.png", optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
