"""The benchmarks run; what they measure is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
def test_a_tiny_run(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a text for the benchmarks, over and over again. " * 200)
    command = [sys.executable, "-m", "benchmarks", "--tiny", "--text", str(text)]
    done = subprocess.run(
        [*command, "--output", str(tmp_path), "start", "sampling", "evaluation"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "table.json").read_text())
    assert {row["section"] for row in content["rows"]} == {"start", "sampling", "evaluation"}
    assert all(row["value"] > 0 for row in content["rows"])
    assert (tmp_path / "table.md").read_text() == done.stdout.removesuffix("\n")
