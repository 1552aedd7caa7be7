"""callbacks=detailed: what it tells is what goes on in the network."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import grad_norm
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F

from charrnn.__main__ import main
from charrnn.cells import CELLS
from charrnn.models.trained import Architecture
from charrnn.network import Network
from charrnn.training.detailed import _rows, gates, norms
from tests.small_runs import SMALL, Train, metrics

H, T = 5, 9


def network(kind: str) -> Network:
    torch.manual_seed(3)
    made = Network(Architecture(kind, 4, H, 2, 0.0, False, vocabulary_size=7)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-2, 2)
    return made


def by_hand(net: Network, ids: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """The gates, a character after the other, from the network's own states between them."""
    cell, state, found = net.architecture.cell, None, []
    for t in range(len(ids)):
        before = [torch.zeros(H)] * 2 if state is None else [layer[0][0] for layer in state]
        _, state = net(ids[None, t : t + 1], state)
        read, here = net.embedding(ids[t]), []
        for layer, hidden, after in zip(net.recurrent, before, state, strict=True):
            sums = layer.weight_ih_l0 @ read + layer.bias_ih_l0
            if cell.recurrent:
                sums = sums + layer.weight_hh_l0 @ hidden + layer.bias_hh_l0
            here.append({g: sums[cell.gates.index(g) * H :][:H].sigmoid() for g in cell.sigmoids})
            read = after[0][0]
        found.append(here)
    return [
        {g: torch.stack([here[layer][g] for here in found]) for g in cell.sigmoids}
        for layer in range(2)
    ]


@pytest.mark.parametrize("kind", CELLS)
@torch.no_grad()
def test_gates_of_a_passage_are_those_of_its_steps(kind: str) -> None:
    net = network(kind)
    ids = torch.randint(7, (T,), generator=torch.Generator().manual_seed(1))
    expected = by_hand(net, ids)
    found = gates(net, ids)
    assert len(found) == 2
    for layer, reference in zip(found, expected, strict=True):
        assert layer.keys() == reference.keys() == set(CELLS[kind].sigmoids)
        for gate, values in layer.items():
            torch.testing.assert_close(values, reference[gate], atol=1e-5, rtol=1e-5)
    assert not any(layer._forward_hooks for layer in net.recurrent)


def test_an_lstm_takes_from_its_gates_what_it_carries() -> None:
    """The forget gate told is the one by which the cell is multiplied."""
    net = network("lstm")
    ids = torch.tensor([1, 2, 3])
    with torch.no_grad():
        opened = gates(net, ids)[0]
        _, before = net(ids[None, :-1])
        _, after = net(ids[None])
        h, c = (part[0] for part in before[0])
        layer = net.recurrent[0]
        sums = F.linear(net.embedding(ids[-1]), layer.weight_ih_l0, layer.bias_ih_l0)
        sums = sums + F.linear(h, layer.weight_hh_l0, layer.bias_hh_l0)
        cell = opened["f"][-1] * c + opened["i"][-1] * sums[2 * H : 3 * H].tanh()
        torch.testing.assert_close(cell, after[0][1][0])
        torch.testing.assert_close(opened["o"][-1] * cell.tanh(), after[0][0][0])


def test_norms_are_lightnings() -> None:
    net = network("gru")
    logits, _ = net(torch.tensor([[1, 2, 3]]))
    F.cross_entropy(logits[0], torch.tensor([2, 3, 4])).backward()
    found = norms(net)
    reference = grad_norm(net, 2)
    assert found["gradient_norm/network"] == pytest.approx(float(reference["grad_2.0_norm_total"]))
    part = float(reference["grad_2.0_norm/embedding.weight"])
    assert found["gradient_norm/embedding"] == pytest.approx(part)
    names = ("embedding", "layer_1", "layer_2", "decoder")
    for kind in ("gradient_norm", "weight_norm"):
        whole = sum(found[f"{kind}/{name}"] ** 2 for name in names) ** 0.5
        assert found[f"{kind}/network"] == pytest.approx(whole)


def test_the_rows_of_a_picture_are_the_passages_characters_first() -> None:
    chances = torch.tensor([[0.1, 0.1, 0.2, 0.6], [0.1, 0.3, 0.5, 0.1], [0.0, 0.9, 0.0, 0.1]])
    targets = torch.tensor([0, 2, 0])
    assert _rows(chances, targets, 4) == [0, 2, 1, 3]
    assert _rows(chances, targets, 1) == [0]


def test_a_run_tells_all_of_it(train: Train) -> None:
    words = ["callbacks=detailed", "trainer.max_steps=35", "callbacks.gates.every=2"]
    run = train(*words, "trainer.gradient_clip_val=1e-3")
    events = EventAccumulator(str(run / "tensorboard"), {"images": 0}).Reload()
    clipped = [event.value for event in events.Scalars("gradient_norm/network")]
    assert [e.step for e in events.Scalars("gradient_norm/network")] == [1, *range(5, 36, 5)]
    assert min(clipped) > 1e-3  # as they were before
    assert {e.step for e in events.Scalars("gates_open/layer_2_f")} == {7, 21, 35}
    pictures = events.Images("next_characters")
    assert [picture.step for picture in pictures] == [7, 35]
    assert pictures[0].encoded_image_string != pictures[1].encoded_image_string
    assert pictures[0].width > 300
    for way in ("shut", "open"):
        assert all(0 <= e.value <= 1 for e in events.Scalars(f"gates_{way}/layer_1_i"))
    # and no row more in metrics.csv
    assert len(metrics(run)) == len({row["step"] for row in metrics(run)})


def test_a_cell_without_gates_has_none(train: Train) -> None:
    run = train("model=rnn", "callbacks=detailed", "trainer.max_steps=7")
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert not [tag for tag in events.Tags()["scalars"] if tag.startswith("gates")]


def test_what_is_refused(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str) -> str:
        assert main(["train", *SMALL, "callbacks=detailed", *words]) == 2
        said = capfd.readouterr().err
        assert said.count("\n") == 1
        return said

    assert "callbacks.gates.every=0: must be 1 or more" in refused("callbacks.gates.every=0")
    assert "callbacks.next_characters.rows" in refused("+callbacks.next_characters.rows=3")
    find = importlib.util.find_spec

    def without(name: str, *args: Any) -> Any:
        return None if name == "matplotlib" else find(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    said = refused()
    assert "needs the package matplotlib: " in said
    assert "[detailed]'" in said
    assert not (workplace / "outputs").exists()
