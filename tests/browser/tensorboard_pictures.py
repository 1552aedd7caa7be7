"""Pictures of TensorBoard for docs/: python -m tests.browser.tensorboard_pictures ADDRESS docs.

The address is one that TensorBoard tells, on a sweep.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.chromium import ARGUMENTS

SETTLED = 4000  # milliseconds until a page has drawn everything


def scalars(page: Any) -> None:
    page.get_by_role("button", name="Settings").first.click()
    page.locator('input[placeholder="Filter tags (regex)"]').fill("loss")
    page.keyboard.press("Escape")


def hparams(page: Any) -> None:
    page.get_by_text("Parallel Coordinates View").click()


def text(page: Any) -> None:
    page.locator("button", has_text="config").first.click()  # closes it; samples follow


# tab, name of the picture, height, what is done there
PICTURES = (
    ("timeseries", "tensorboard", 640, scalars),
    ("hparams", "tensorboard-hparams", 680, hparams),
    ("text", "tensorboard-text", 560, text),
)


def main(address: str, folder: Path) -> None:
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        for tab, name, height, act in PICTURES:
            page = browser.new_page(viewport={"width": 1400, "height": height})
            page.goto(f"{address}#{tab}")
            page.wait_for_timeout(SETTLED)
            act(page)
            page.wait_for_timeout(SETTLED)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(96).save(folder / f"{name}.png", optimize=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
