"""report.html: made of a run's files, whichever there are."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest

from charrnn.extras import report as reports
from charrnn.extras.report import write_report
from charrnn.runs.result import read_result
from tests.small_runs import Train, metrics


class Page:
    """A page's content, its text, and the number of points of each curve."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_text("utf-8")
        self.text = html.unescape(re.sub(r"<[^>]*>", "", self.content))
        lines = re.findall(r'<polyline class="(\w+)" points="([^"]*)"', self.content)
        self.curves = {name: len(points.split()) for name, points in lines}


def test_a_run_leaves_a_report(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    run = train("trainer.max_steps=21", "tags=['for <me>']", "model.batchnorm=true")
    said = capfd.readouterr().err
    assert "run folder: run, with report.html" in said
    page = Page(run / "report.html")
    [parameters] = re.findall(r"[\d,]+ parameters", said)
    assert parameters in page.text
    rows = metrics(run)
    validated = {int(row["step"]): row for row in rows if row["val/loss"]}
    assert page.curves["train"] == sum(bool(row["train/loss"]) for row in rows)
    assert page.curves["val"] == page.curves["network"] == len(validated) == 3
    best = min(validated, key=lambda step: float(validated[step]["val/loss"]))
    losses = {step: float(row["val/loss_as_written"]) for step, row in validated.items()}
    assert f"{losses[best]:.4f} nats per character" in page.text
    assert f"after step {best} of 21" in page.text
    assert f"The loss of its network is {float(validated[best]['val/loss']):.4f}" in page.text
    assert "for <me>" in page.text
    assert not re.search(r"(src|href)=|https?:|@import|url\(", page.content)


def test_a_report_needs_only_the_result(run_copy: Train) -> None:
    run = run_copy("trainer.max_steps=5")
    header = (run / "metrics.csv").read_text().splitlines()[0]
    rows = "0,0,nan,,,,\n1,,2,,,,9\n2,,1e999,inf,,,0\n3,,3,2\n"
    (run / "metrics.csv").write_text(f"{header}\n{rows}")
    result = read_result(run)
    assert result is not None
    assert Page(write_report(result)).curves == {"train": 2, "val": 1}
    for name in ("checkpoints", "samples", ".hydra"):
        shutil.rmtree(run / name, ignore_errors=True)
    for name in ("metrics.csv", "model.safetensors"):
        (run / name).unlink()
    assert "2 x 16 lstm" in Page(write_report(result)).text


def test_a_run_does_not_fail_by_its_report(
    run_copy: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = run_copy("trainer.max_steps=5")
    monkeypatch.setattr(reports, "write_report", lambda result: 1 / 0)
    assert reports.at_end(run) is None
    assert "report.html cannot be made (division by zero)\n" in capfd.readouterr().err
    (run / "metrics.csv").unlink()  # as with logger=none
    assert reports.at_end(run) is None
    assert capfd.readouterr().err == ""
