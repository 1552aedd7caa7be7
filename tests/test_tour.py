"""The notebook docs/tour.ipynb: its cells run, and the outputs that it keeps are small."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from tests import REPOSITORY

TOUR = REPOSITORY / "docs" / "tour.ipynb"
# what makes it short, in place of what is printed
SHORTER = {
    "trainer.max_steps=300": "trainer.max_steps=20",
    "validate_every=50": "validate_every=10",
    "max_steps=200": "max_steps=3",
}


def cells() -> list[dict[str, Any]]:
    """Read the cells of code, except the first, which installs the package."""
    cells = json.loads(TOUR.read_text("utf-8"))["cells"]
    install, *code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert "".join(install["source"]).count("%pip install") == 2  # in Colab, and elsewhere
    return code


def test_the_cells_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    sources = ["".join(cell["source"]) for cell in cells()]
    for printed, shorter in SHORTER.items():
        assert sum(source.count(printed) for source in sources) == 1, printed
        sources = [source.replace(printed, shorter) for source in sources]
    names: dict[str, Any] = {"__name__": "tour", "main": main, "sys": sys}
    for number, source in enumerate(sources):
        source = re.sub(
            r"^!\{sys.executable\} -m charrnn (.*)",
            r"assert main('\1'.split()) == 0",
            source,
            flags=re.M,
        )
        exec(compile(source, f"cell {number}", "exec"), names)
    assert math.isfinite(names["result"].loss)
    assert "window.charrnn" in Path("tales.html").read_text("utf-8")
    assert sorted(names["reached"]) == ["Focal", "LanguageModel"]
    assert "said: " in capfd.readouterr().out  # a sample is as tales are, by the counts


def test_the_notebook_keeps_small_outputs() -> None:
    assert TOUR.stat().st_size < 80_000
    for cell in cells():
        assert cell["outputs"], "".join(cell["source"])
        for output in cell["outputs"]:
            assert output["output_type"] in ("stream", "display_data")
            # no folder of the machine on which it ran
            assert not any(word in str(output) for word in ("/tmp/", "/home/", "/root/"))
