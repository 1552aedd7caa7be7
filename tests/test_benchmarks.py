"""The benchmarks run: what they say of times is not looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.sections import SECTIONS
from tests.conftest import Capture


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS)
def test_every_section(name: str, tmp_path: Path, capsys: Capture) -> None:
    text = tmp_path / "text.txt"
    text.write_text("ROMEO:\nTo be, or not to be, that is the question:\n" * 1500, encoding="utf-8")
    options = [name, "--scale", "0.002", "--rounds", "1", "--text", str(text)]
    assert main([*options, "--folder", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"### {SECTIONS[name].title}" in printed
    assert "| --- | ---: |" in printed or "Left out" in printed
    assert list(tmp_path.iterdir()) == [text]
