"""The recurrent cells: what an entry says of its module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from charrnn.cells import CELLS, Cell
from charrnn.errors import InputError
from charrnn.evaluation import score_ids
from charrnn.model import Model, load
from charrnn.models.trained import Architecture, TrainedModel
from charrnn.network import Network, weights_of
from charrnn.text.vocabulary import Vocabulary
from tests.textbook import EQUATIONS


@pytest.mark.parametrize("kind", CELLS)
def test_an_entry_is_what_its_module_is(kind: str) -> None:
    cell, N, T, D, H = CELLS[kind], 3, 7, 4, 5
    layer = cell.layer(D, H)
    shapes = {name: tuple(weight.shape) for name, weight in layer.state_dict().items()}
    assert shapes == cell.shapes(D, H)
    hidden, carried = layer(torch.randn(N, T, D))
    assert hidden.shape == (N, T, H)
    carried = carried if isinstance(carried, tuple) else (carried,)
    assert [part.shape for part in carried] == [(1, N, H)] * len(cell.carried)
    assert torch.equal(carried[0][0], hidden[:, -1])


def test_each_has_its_equations_in_the_textbook() -> None:
    assert EQUATIONS.keys() == CELLS.keys(), "tests/textbook.py, which the engines are held to"


@pytest.mark.parametrize("kind", CELLS)
def test_gates_are_told_apart(kind: str) -> None:
    cell = CELLS[kind]
    assert len(set(cell.gates)) == len(cell.gates)
    assert {*cell.initial_biases, *cell.apart} <= set(cell.gates)
    for place, gate in enumerate(cell.gates):
        assert cell.rows(gate, 5) == slice(5 * place, 5 * place + 5)


@pytest.mark.parametrize("kind", CELLS)
def test_biases_begin_as_the_entry_says(kind: str) -> None:
    cell, H = CELLS[kind], 6
    for layer in Network(Architecture(kind, 4, H, 2, vocabulary_size=7)).recurrent:
        for gate in cell.gates:
            bias = layer.get_parameter("bias_ih_l0")[cell.rows(gate, H)]
            assert bias.eq(cell.initial_biases.get(gate, 0.0)).all()


def test_cells_are_known_without_torch() -> None:
    line = (
        "import sys; from charrnn.cells import CELLS; import charrnn.models.trained as t; "
        "t.Architecture('lstm', 4, 4, 1, vocabulary_size=3).shapes(); "
        "print(CELLS['lstm'].carried, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "('h', 'c') False\n"


def test_a_new_cell_needs_no_more_than_its_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CELLS, "another", Cell("rzn", ("h",), "torch.nn.GRU", apart="n"))
    vocabulary = Vocabulary(list("\nabc"))
    torch.manual_seed(1)
    net = Network(Architecture("another", 5, 6, 2, 0.0, True, vocabulary_size=4))
    net(torch.randint(0, 4, (3, 9)))[0].sum().backward()
    model = Model(TrainedModel(net.architecture, vocabulary, weights_of(net)))
    model.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.trained.architecture == net.architecture
    ids = vocabulary.encode("abcabc\n")
    assert score_ids(loaded.trained, ids) == pytest.approx(model.score("abcabc\n"))
    assert len(loaded.generate(50, "abc", seed=1)) == 50  # torch steps it
    with pytest.raises(InputError, match=r"engine=numpy: .* kind another; use torch"):
        loaded.generate(engine="numpy")
