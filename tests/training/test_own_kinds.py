"""Cells that charrnn does not have, brought by an installed package or from Python."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charrnn
from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.options import cells
from tests import REPOSITORY
from tests.conftest import write_files
from tests.small_runs import SMALL, Capture, Train, assert_same, tensors

PAGE = (REPOSITORY / "docs" / "lightning.md").read_text("utf-8")
(EXAMPLE,) = (c for c in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "class MinGRU" in c)
CELL = 'CELL = charrnn.Cell(gates="zh", carried=("h",), module="own_kinds.MinGRU", recurrent=False)'
MODULE = EXAMPLE.partition("cell = ")[0] + CELL
ENTRY_POINTS = """
[charrnn.cells]
mine = own_kinds:CELL
broken = own_kinds:Missing
"""


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_registered", {})


@pytest.fixture
def own_package(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the package `own_kinds` as pip does, for one test."""
    where = workplace / "site"
    texts = {
        "own_kinds.py": MODULE,
        "own_kinds-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: own-kinds\nVersion: 1\n",
        "own_kinds-1.dist-info/entry_points.txt": ENTRY_POINTS,
    }
    write_files(where, texts)
    monkeypatch.syspath_prepend(where)
    yield where
    sys.modules.pop("own_kinds", None)


def test_every_command_takes_the_cell_of_an_installed_package(
    own_package: Path, train: Train, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    words = ["model.kind=mine", "data.shuffle=true", "model.dropout=0.3", "~callbacks.counts"]
    whole = train(*words, "trainer.max_steps=12", folder="whole")
    part = train(*words, "trainer.max_steps=9", folder="part")
    train("resume=part", "trainer.max_steps=12", small=False)
    assert_same(tensors(part)["weights"], tensors(whole)["weights"])

    assert main(["sample", "checkpoint=part", "length=40"]) == 0
    assert main(["evaluate", "checkpoint=part"]) == 0
    assert main(["convert", "input=part/checkpoints/best.ckpt", "output=x.safetensors"]) == 0
    model, again = charrnn.load("part"), charrnn.load("x.safetensors")
    assert np.array_equal(model.logits("the cat"), again.logits("the cat"))
    assert len(charrnn.load(["part", "whole"]).generate(20, "the ", seed=1)) == 20
    module = charrnn.LanguageModel.load_from_checkpoint("part/checkpoints/best.ckpt")
    assert np.array_equal(module.to_model().logits("the cat"), model.logits("the cat"))
    train(*words, "init_from=part", "trainer.max_steps=1", folder="tuned")

    capfd.readouterr()
    for words, line in ((["export", "checkpoint=part", "output=page.html"], "mine"),):
        assert main(words) == 2
        assert line in capfd.readouterr().err

    monkeypatch.setattr(cells, "_registered", {})
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(own_package)])
    sys.modules.pop("own_kinds", None)
    for words in (
        ["sample", "checkpoint=part"],
        ["convert", "input=part", "output=y.safetensors"],
        ["train", "resume=part", "trainer.max_steps=40"],
        ["train", *SMALL, "init_from=part", "hydra.run.dir=new"],
    ):
        assert main(words) == 2, words
        [line] = capfd.readouterr().err.splitlines()
        assert "model.kind=mine: is neither built in (" in line, words
        assert "install the package of this cell" in line
    assert not any(Path(name).exists() for name in ("page.html", "y.safetensors", "new"))


def test_a_cell_that_cannot_be_loaded(own_package: Path, train: Train, capfd: Capture) -> None:
    assert not train("model.kind=broken", code=2).exists()
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("charrnn train: model.kind=broken: ")
    assert "cannot load this cell from own_kinds:Missing of an installed" in line


def test_the_cell_of_the_page_trains_and_writes(workplace: Path) -> None:
    names: dict[str, Any] = {}
    small = ", ".join(map(repr, [*SMALL, "trainer.max_steps=3"]))
    exec(EXAMPLE.replace('"data.input_txt=my.txt"', small), names)
    assert charrnn.load(names["result"].folder).trained.architecture.kind == "mingru"


def test_names_that_cannot_be_registered() -> None:
    cell = charrnn.Cell("h", ("h",), "torch.nn.RNN")
    for name in ("lstm", "a b", "", "a/b", "x.y"):
        with pytest.raises(InputError):
            charrnn.register_cell(name, cell)
    with pytest.raises(TypeError):
        charrnn.register_cell("mine", torch.nn.GRU)  # type: ignore[arg-type]
