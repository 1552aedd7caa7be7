"""What is imported first, without a search for garbage."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from charrnn import imports
from charrnn.imports import first_import


@pytest.mark.parametrize(
    ("name", "freezes"),
    [("charrnn", False), ("a_package_that_is_not_there", False),
     ("a_package_that_is_not_there", True)],
)  # fmt: skip
def test_garbage_is_collected_again_however_it_ends(
    name: str, freezes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a script has is collected still; a program's own need not be."""
    monkeypatch.setattr(imports, "freezes", freezes)
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(ImportError), first_import(name):
        assert gc.isenabled() == (name == "charrnn")  # which is imported already
        raise ImportError
    still_looked_at = any(each is cycle for each in gc.get_objects())
    gc.unfreeze()
    assert (gc.isenabled(), still_looked_at) == (True, not freezes)


@pytest.mark.parametrize(("call", "freezes"), [("main(['--version'])", False), ("main()", True)])
def test_only_the_program_freezes(call: str, freezes: bool) -> None:
    code = f"from charrnn import imports, __main__ as m; m.{call}; print(imports.freezes)"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == str(freezes)


def test_who_collects_none_goes_on_so() -> None:
    gc.disable()
    try:
        with first_import("a_package_that_is_not_there"):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
