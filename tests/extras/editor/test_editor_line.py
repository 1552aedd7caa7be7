"""What a wrong command line of charrnn sample interactive=true gets."""

from __future__ import annotations

import pytest

from charrnn.__main__ import main


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("json=true", "json=true"),
        ("mode=lines", "mode=lines"),
        ("temperature=[1,2]", "a list of temperatures"),
    ],
)
def test_it_is_refused_in_a_line(word: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "interactive=true", word]) == 2
    assert capsys.readouterr() == (
        "",
        f"charrnn sample: interactive=true: does not go with {named}; leave one of them out\n",
    )
