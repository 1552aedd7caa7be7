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
from tests.conftest import write_files
from tests.small_runs import SMALL, Capture, Train, assert_same, tensors

MODULE = """
import torch
from torch import nn

from charrnn import Cell


class Leaky(nn.Module):
    '''h' = tanh(h / 2 + W x + b).'''

    def __init__(self, input_size, hidden_size, batch_first=True):
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.zeros(hidden_size, input_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, inputs, state=None):
        sums = inputs @ self.weight_ih_l0.T + self.bias_ih_l0
        h = sums.new_zeros(sums[:, 0].shape) if state is None else state[0]
        outputs = []
        for t in range(sums.shape[1]):
            h = torch.tanh(h / 2 + sums[:, t])
            outputs.append(h)
        return torch.stack(outputs, 1), h[None]


CELL = Cell(gates="h", carried=("h",), module="own_kinds.Leaky", recurrent=False)

"""
ENTRY_POINTS = """
[charrnn.cells]
leaky = own_kinds:CELL
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


def test_from_training_to_sampling(
    own_package: Path, train: Train, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    words = ["model.kind=leaky", "data.shuffle=true", "model.dropout=0.3", "~callbacks.counts"]
    whole = train(*words, "trainer.max_steps=12", folder="whole")
    part = train(*words, "trainer.max_steps=9", folder="part")
    train("resume=part", "trainer.max_steps=12", small=False)
    assert_same(tensors(part)["weights"], tensors(whole)["weights"])
    assert charrnn.load(part).trained.architecture.kind == "leaky"

    capfd.readouterr()
    sampled = ["sample", "checkpoint=part", "length=40", "seed=1"]
    assert main(sampled) == 0
    text = capfd.readouterr().out
    assert main([*sampled, "engine=torch"]) == 0
    assert capfd.readouterr().out == text
    assert main([*sampled, "engine=numpy"]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert "engine=numpy: has no kernel for a model of kind leaky; use torch" in line

    assert main(["evaluate", "checkpoint=part"]) == 0
    assert main(["convert", "input=part/checkpoints/best.ckpt", "output=x.safetensors"]) == 0
    model, again = charrnn.load("part"), charrnn.load("x.safetensors")
    assert np.array_equal(model.logits("the cat"), again.logits("the cat"))
    assert len(charrnn.load(["part", "whole"]).generate(20, "the ", seed=1)) == 20
    module = charrnn.LanguageModel.load_from_checkpoint("part/checkpoints/best.ckpt")
    assert np.array_equal(module.to_model().logits("the cat"), model.logits("the cat"))

    for command in ("export", "inspect"):
        assert main([command, "checkpoint=part", "output=page.html"]) == 2
        assert "leaky" in capfd.readouterr().err
        assert not Path("page.html").exists()
    # the weights of one, in a separate run
    train(*words, "init_from=part", "trainer.max_steps=1", folder="tuned")

    monkeypatch.setattr(cells, "_registered", {})
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(own_package)])
    sys.modules.pop("own_kinds", None)
    unknown = "model.kind=leaky: is neither built in ("
    for words in (
        ["sample", "checkpoint=part"],
        ["evaluate", "checkpoint=part/checkpoints/last.ckpt"],
        ["convert", "input=part", "output=y.safetensors"],
        ["train", "resume=part", "trainer.max_steps=40"],
        ["train", *SMALL, "model.kind=leaky", "hydra.run.dir=new"],
        ["train", *SMALL, "init_from=part", "hydra.run.dir=new"],
    ):
        capfd.readouterr()
        assert main(words) == 2, words
        [line] = capfd.readouterr().err.splitlines()
        assert unknown in line, words
        assert "install the package of this cell" in line
    assert not Path("y.safetensors").exists()
    assert not Path("new").exists()


def test_a_cell_that_cannot_be_loaded(own_package: Path, train: Train, capfd: Capture) -> None:
    assert not train("model.kind=broken", code=2).exists()
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("charrnn train: model.kind=broken: ")
    assert "cannot load this cell from own_kinds:Missing of an installed" in line


def test_the_mingru_of_the_docs(workplace: Path) -> None:
    """Check that it trains, and that its network is (1 - z) h + z h~, step by step."""
    page = Path(__file__).parents[2].joinpath("docs", "lightning.md").read_text()
    [code] = [c for c in re.findall(r"```python\n(.*?)```", page, re.S) if "class MinGRU" in c]
    names: dict[str, Any] = {}
    small = ", ".join(map(repr, [*SMALL, "trainer.max_steps=3"]))
    exec(code.replace('"data.input_txt=my.txt"', small), names)
    layer = charrnn.load(names["result"].folder).trained.weights
    weight, bias = (layer[f"recurrent.0.{name}_ih_l0"] for name in ("weight", "bias"))
    H, D = len(bias) // 2, weight.shape[1]
    module = names["MinGRU"](D, H)
    module.load_state_dict({"weight_ih_l0": torch.tensor(weight), "bias_ih_l0": torch.tensor(bias)})
    inputs, h = np.random.default_rng(1).normal(size=(2, 7, D)).astype(np.float32), 0.0
    found, _ = module(torch.tensor(inputs))
    for t in range(7):
        z, new = np.split(inputs[:, t] @ weight.T + bias, 2, axis=1)
        z = 1 / (1 + np.exp(-z))
        h = (1 - z) * h + z * new
        assert np.allclose(found[:, t].detach(), h, atol=1e-5)


def test_names_that_cannot_be_registered() -> None:
    cell = charrnn.Cell("h", ("h",), "torch.nn.RNN")
    for name in ("lstm", "a b", "", "a/b", "x.y"):
        with pytest.raises(InputError):
            charrnn.register_cell(name, cell)
    with pytest.raises(TypeError):
        charrnn.register_cell("mine", torch.nn.GRU)  # type: ignore[arg-type]
