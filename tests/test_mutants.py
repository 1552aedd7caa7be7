"""The mutants of `make mutants` stand in the code, and their tests exist."""

from __future__ import annotations

import pytest

from tests import REPOSITORY
from tests.mutants import Mutant, find_file, read_mutants


@pytest.mark.parametrize("mutant", read_mutants(), ids=lambda mutant: mutant.name)
def test_no_mutant_is_stale(mutant: Mutant) -> None:
    problem = "has its old text not once, or a test is gone"
    assert find_file(mutant, REPOSITORY), f"{mutant.file} {problem}"
