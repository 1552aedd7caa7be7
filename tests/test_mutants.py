"""The mutants of `make mutants` stand in the code, and their tests exist."""

from __future__ import annotations

import pytest
import yaml

from tests import REPOSITORY
from tests.mutants import Mutant

MUTANTS = yaml.safe_load((REPOSITORY / "tests" / "mutants.yaml").read_text("utf-8"))


@pytest.mark.parametrize("entry", MUTANTS, ids=lambda entry: entry["name"])
def test_no_mutant_is_stale(entry: dict[str, str]) -> None:
    mutant = Mutant(**entry)
    counts = [path.read_text("utf-8").count(mutant.old) for path in REPOSITORY.glob(mutant.file)]
    assert sum(counts) == 1, f"its old text is {sum(counts)} times in {mutant.file}"
    for name in mutant.tests.split():
        assert (REPOSITORY / name.partition("::")[0]).exists(), name
