"""Which temperature of evaluation is fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charrnn.evaluation import fitted_temperature, temperature_fit
from charrnn.network import Network
from tests.evaluation.networks import network, one_stream


def sure(times: float) -> Network:
    """A network whose logits are so many times as large."""
    net = network("lstm")
    with torch.no_grad():
        net.decoder.weight *= times
        net.decoder.bias *= times
    return net


def written_by(net: Network, characters: int) -> np.ndarray:
    """Ids drawn from what a network predicts."""
    generator = torch.Generator().manual_seed(1)
    ids, state = [0], None
    with torch.no_grad():
        for _ in range(characters):
            logits, state = net(torch.tensor([[ids[-1]]]), state)
            ids.append(int(torch.multinomial(logits[0, 0].softmax(-1), 1, generator=generator)))
    return np.array(ids)


@pytest.mark.parametrize("times", [0.9, 1.12, 1.4])
def test_it_undoes_what_a_network_is_too_sure_of(times: float) -> None:
    """What the network wrote is best predicted by its own logits, whatever they are times."""
    ids = written_by(sure(20).eval(), 600)
    net = sure(20 * times)
    net.train()
    fitted = fitted_temperature(net, ids)
    assert net.training
    assert (fitted.temperature < 1) == (times < 1)
    around = {fitted.temperature + step for step in (-0.01, 0, 0.01)} | {1.0}
    losses = {t: one_stream(sure(20 * times / t), ids) for t in around}
    assert min(losses.values()) == losses[fitted.temperature]
    assert fitted.loss == pytest.approx(losses[fitted.temperature], abs=1e-5)
    assert fitted.plain == pytest.approx(losses[1.0], abs=1e-5)


def test_a_long_text_is_read_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temperature_fit, "WINDOW", 100)
    monkeypatch.setattr(temperature_fit, "MOST_CHARACTERS", 450)
    monkeypatch.setattr(temperature_fit, "_AT_ONCE", 3)
    ids, net = np.random.default_rng(1).integers(0, 11, 1000), sure(5)
    plain = [one_stream(net, ids[n * 100 : n * 100 + 101]) for n in range(4)]
    assert fitted_temperature(net, ids).plain == pytest.approx(np.mean(plain), abs=1e-5)
