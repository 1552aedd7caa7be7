"""A run's report at three widths, light and dark: whole, accessible, and asking for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charrnn.extras.report.report_run_end import write_report
from tests.browser.files import opened
from tests.browser.steps import looks_right

pytestmark = pytest.mark.browser

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
def test_axe_finds_nothing_and_nothing_is_cut_off(
    chromium: Any, report: Path, width: int, scheme: str
) -> None:
    how = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with opened(chromium, report, **how) as page:
        check(page, width, scheme)


def check(page: Any, width: int, scheme: str) -> None:
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
