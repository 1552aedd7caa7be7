"""The line that tells somebody to install an extra."""

from __future__ import annotations

import shlex

from charrnn.errors import install


def test_the_packages_of_an_extra_are_named() -> None:
    words = shlex.split(install("novelty"))
    [package] = words[words.index("install") + 1 :]
    assert package.startswith("pydivsufsort>=")
    assert "charrnn" not in package
