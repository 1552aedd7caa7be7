"""What a wrong command line of charrnn export gets."""

from __future__ import annotations

import pytest

from charrnn.__main__ import main


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "output is required"),
        ("output=x.htm", "output=x.htm: must end in .html (a page)"),
        ("output=x.html precision=4", "precision=4: must be 8, 16 or 32 bits"),
    ],
)
def test_it_is_refused_in_a_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"charrnn export: {line}")
    assert err.count("\n") == 1
