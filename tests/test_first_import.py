"""What is imported first, without a search for garbage."""

from __future__ import annotations

import gc

import pytest

from charrnn.imports import first_import


@pytest.mark.parametrize("name", ["charrnn", "a_package_that_is_not_there"])
def test_garbage_is_collected_again_however_it_ends(name: str) -> None:
    with pytest.raises(ImportError), first_import(name):
        assert gc.isenabled() == (name == "charrnn")  # which is imported already
        raise ImportError
    assert gc.isenabled()
    gc.unfreeze()  # what the test froze


def test_who_collects_none_goes_on_so() -> None:
    gc.disable()
    try:
        with first_import("a_package_that_is_not_there"):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
