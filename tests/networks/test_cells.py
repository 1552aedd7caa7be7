"""The recurrent cells: what an entry says of its module."""

from __future__ import annotations

import pytest
import torch

from charrnn.models.trained import Architecture
from charrnn.networks.network import Network
from charrnn.options.cells import CELLS


@pytest.mark.parametrize("kind", CELLS)
def test_an_entry_is_what_its_module_is(kind: str) -> None:
    cell, N, T, D, H = CELLS[kind], 3, 7, 4, 5
    layer = cell.layer(D, H)
    shapes = {name: tuple(weight.shape) for name, weight in layer.state_dict().items()}
    assert shapes == cell.shapes(D, H)
    for weight in layer.parameters():  # which a network initializes; a module need not
        torch.nn.init.normal_(weight)
    hidden, carried = layer(torch.randn(N, T, D))
    assert hidden.shape == (N, T, H)
    carried = carried if isinstance(carried, tuple) else (carried,)
    assert [part.shape for part in carried] == [(1, N, H)] * len(cell.carried)
    assert torch.equal(carried[0][0], hidden[:, -1])


@pytest.mark.parametrize("kind", CELLS)
def test_biases_begin_as_the_entry_says(kind: str) -> None:
    cell, H = CELLS[kind], 6
    for layer in Network(Architecture(kind, 4, H, 2, vocabulary_size=7)).recurrent:
        for gate in cell.gates:
            bias = layer.get_parameter("bias_ih_l0")[cell.rows(gate, H)]
            assert bias.eq(cell.initial_biases.get(gate, 0.0)).all()
