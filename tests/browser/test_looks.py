"""The page and a report at several sizes, light and dark: accessible, whole, tints in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charrnn.extras.report.report_run_end import write_report
from tests.browser.fake_server import FakeServer
from tests.browser.files import opened, watched
from tests.browser.steps import continue_text, looks_right, write

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 400), (360, 740), (768, 740), (1280, 740)])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    chromium: Any, server: FakeServer, width: int, height: int, scheme: str
) -> None:
    server.texts = ["copied from the training text, and more of it. " * 8]
    # axe is put into the page as a script
    size = {"width": width, "height": height}
    how = {"viewport": size, "color_scheme": scheme, "bypass_csp": True}
    with watched(chromium, server.address, base_url=server.address, **how) as context:
        go_through(context.new_page(), width, height)


def go_through(page: Any, width: int, height: int) -> None:
    def check() -> None:
        looks_right(page)
        button = page.locator("#continue").bounding_box()
        assert button["x"] >= 0
        assert button["x"] + button["width"] <= width
        assert button["y"] + button["height"] <= height

    page.goto("/")
    page.locator("#model option").first.wait_for(state="attached")
    check()
    write(page, "It is ")
    page.get_by_text("more of it").first.wait_for()
    check()
    card, word = (
        page.locator("#alternatives li").first.locator(part).bounding_box()
        for part in (":scope", ".word")
    )
    assert word["x"] + word["width"] <= card["x"] + card["width"]
    if width == 360:
        page.locator("#dials-toggle").click()
    page.get_by_role("button", name="Options").click()
    check()
    page.get_by_text("More options for the text").click()
    check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Draft", exact=True).click()
    check()
    page.keyboard.press("Escape")
    page.locator("#shelf-toggle").click()
    check()


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


@pytest.mark.parametrize("height", [340, 400])
def test_above_a_phones_keyboard_the_choice_is_in_view(
    page: Any, server: FakeServer, height: int
) -> None:
    page.set_viewport_size({"width": 360, "height": height})
    server.texts = ["A continuation that goes on for a while. " * 9]
    page.locator("#text").fill("A line.\n" * 40)
    continue_text(page)
    text = page.locator("#alternatives .text").first.bounding_box()
    assert text["height"] > 60
    for part in (text, page.get_by_role("button", name="Take continuation 1").bounding_box()):
        assert part["y"] >= 60  # under the header and a line of the text
        assert part["y"] + part["height"] <= height - 60  # above the button that asks for others


CONFIG = """\
data: {input_txt: /texts/a-file-whose-name-has-no-end-in-sight-and-nowhere-to-be-broken.txt}
model: {kind: lstm, num_layers: 2, hidden_size: 128, dropout: 0.1}
optimizer: {_target_: torch.optim.Adam, lr: 0.002}
trainer: {accelerator: cpu, precision: 32-true}
seed: 1
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    (run / ".hydra").mkdir()
    (run / ".hydra" / "config.yaml").write_text(CONFIG)
    (run / "samples").mkdir()
    rows = ["step,train/loss,val/loss,characters_per_second"]
    for step in range(100, 2001, 100):
        rows.append(f"{step},{1 + 300 / step},{1.1 + 300 / step if step % 200 == 0 else ''},50000")
        text = "A line of it,\n" + "unbroken" * 40 + "\n<script>alert(1)</script>"
        (run / "samples" / f"step-{step:07d}.txt").write_text(text)
    (run / "metrics.csv").write_text("\n".join(rows) + "\n")
    return write_report(run)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_a_report_is_accessible_and_nothing_is_cut_off(
    chromium: Any, report: Path, width: int, scheme: str
) -> None:
    how = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with opened(chromium, report, **how) as page:
        check_report(page, width, scheme)


def check_report(page: Any, width: int, scheme: str) -> None:
    looks_right(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(25, 24, 22)") == (scheme == "dark")
    plot = page.locator(".plot").bounding_box()
    for label in page.locator(".plot span").all():
        box = label.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    # the best is where the curve ends
    dot = page.locator(".best").bounding_box()
    assert abs(dot["x"] + dot["width"] / 2 - (plot["x"] + plot["width"])) < 1
