"""Code is recognized."""

from __future__ import annotations

import pytest

from charrnn.text.code import is_code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(x):\n    if x:\n        return {}\n", True),
        ("main {\n\ta: b;\n}\n", True),
        ("            HAMLET\n    To be, or not to be.\n", False),  # indented, without signs
        ("a[0] = {1, 2}\nb = a[0] + a[1]\n", False),  # signs, without an indented line
        ("", False),
    ],
)
def test_code_has_indented_lines_and_signs(text: str, expected: bool) -> None:
    assert is_code(text) == expected
