"""Dynamic evaluation is its rule, step by step, and leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charrnn.cells import CELLS
from charrnn.data import SplitIds
from charrnn.evaluation import Rule, dynamic_loss, rule_for, stream_loss
from charrnn.evaluation import dynamic as module
from charrnn.evaluation.dynamic import gradient_rms
from charrnn.network import Network
from tests.evaluation.networks import in_float64, network


def text(size: int, seed: int = 5) -> np.ndarray:
    """Ids with something to learn: a few words over and over."""
    numbers = np.random.default_rng(seed)
    words = [numbers.integers(0, 11, 5) for _ in range(4)]
    return np.concatenate([words[i] for i in numbers.integers(0, 4, size // 5 + 1)])[:size]


def definition(net: Network, ids: np.ndarray, rule: Rule) -> float:
    """Weight by weight in float64, each segment read again from the text's beginning's state."""
    net = in_float64(net)
    parameters = [p for p in net.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in parameters]
    total, state = 0.0, None
    for start in range(0, len(ids) - 1, rule.segment):
        inputs = torch.from_numpy(ids[start : start + rule.segment + 1])
        logits, state = net(inputs[None, :-1], state)
        state = [tuple(part.detach() for part in layer) for layer in state]
        chosen = torch.log_softmax(logits[0], -1)[torch.arange(len(inputs) - 1), inputs[1:]]
        total -= chosen.sum().item()
        gradients = torch.autograd.grad(-chosen.mean(), parameters)
        rms = [torch.ones_like(p) for p in parameters]
        mean, epsilon = torch.tensor(1.0, dtype=torch.float64), 0.0
        if rule.rms is not None:
            rms = [each.double() for each in rule.rms]
            mean = torch.cat([each.flatten() for each in rms]).mean()
            epsilon = module.EPSILON
        with torch.no_grad():
            for p, p0, g, r in zip(parameters, before, gradients, rms, strict=True):
                back = torch.minimum(rule.decay * r / mean, torch.ones_like(r)) * (p0 - p)
                p += back - rule.lr * g / (r + epsilon * mean)
    return total / (len(ids) - 1)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_agrees_with_the_definition(kind: str, scaled: bool) -> None:
    net, ids = network(kind), text(501)
    rms = gradient_rms(net, text(2000, 6), 20) if scaled else None
    rule = Rule(2e-3 if scaled else 0.3, 0.02, 20, rms)
    found = dynamic_loss(net, ids, rule)
    assert found.characters == 500
    assert found.loss == pytest.approx(definition(net, ids, rule), abs=1e-5)
    assert found.loss < stream_loss(net, ids).loss - 0.05


def test_the_rms_is_that_of_each_segments_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STREAMS", 3)
    monkeypatch.setattr(module, "SEGMENTS", 4)
    net, ids = network("gru"), text(1000)
    found = gradient_rms(net, ids, 7)
    exact = in_float64(net)
    parameters = [p for p in exact.parameters() if p.requires_grad]
    squares, state, length = [torch.zeros_like(p) for p in parameters], None, 999 // 3
    for start in range(0, 4 * 7, 7):
        rows = [ids[row * length + start : row * length + start + 8] for row in range(3)]
        block = torch.from_numpy(np.stack(rows))
        logits, state = exact(block[:, :-1], state)
        state = [tuple(part.detach() for part in layer) for layer in state]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), block[:, 1:].flatten())
        for square, g in zip(squares, torch.autograd.grad(loss, parameters), strict=True):
            square += g * g / 4
    for one, square in zip(found, squares, strict=True):
        assert torch.allclose(one.double(), square.sqrt(), rtol=1e-4, atol=1e-9)


def test_no_score_knows_what_follows_it() -> None:
    """A text's first half scores the same whatever its second half is."""
    net, rule = network("lstm"), Rule(0.3, 0.01, 20)
    ids = text(401)
    changed = np.concatenate([ids[:201], (ids[201:] + 1) % 11])
    half = dynamic_loss(net, ids[:201], rule).loss
    losses: list[list[float]] = []
    for each in (ids, changed):
        parts = [dynamic_loss(net, each[: 20 * n + 1], rule).loss * 20 * n for n in (10, 11)]
        assert parts[0] / 200 == pytest.approx(half, abs=1e-9)
        losses.append(parts)
    assert losses[0][1] != losses[1][1]


def test_without_steps_it_is_the_stream() -> None:
    net, ids = network("lstm"), text(500)
    expected = stream_loss(net, ids).loss
    assert dynamic_loss(net, ids, Rule(1e-30, 0.0, 20)).loss == pytest.approx(expected, abs=1e-6)
    assert dynamic_loss(net, ids, Rule(5.0, 0.0, 10**9)).loss == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_disturbs_nothing(fails: bool) -> None:
    net = network("lstm", dropout=0.5, batchnorm=True)
    before = {name: w.clone() for name, w in net.state_dict().items()}
    random, threads = torch.get_rng_state(), torch.get_num_threads()

    def report(done: int, total: int) -> None:
        if fails and done > 100:
            raise KeyboardInterrupt

    try:
        rule = rule_for(net, SplitIds(text(900)), lr=1e-3, segment=20)
        dynamic_loss(net, text(300), rule, report=report)
        assert not fails
    except KeyboardInterrupt:
        assert fails
    assert net.training
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(w, before[name]) for name, w in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_defaults_are_those_that_are_explained() -> None:
    from charrnn.cli import conf

    options = conf.page("evaluate").options
    net = network("rnn")
    rule = rule_for(net, SplitIds(text(300)))
    words = f"null: {rule.lr:.0e}".replace("e-0", "e-")
    assert words in options["dynamic_lr"].explanation
    plain = rule_for(net, None)
    assert f"{plain.lr:g} without" in options["dynamic_lr"].explanation
    assert options["dynamic_decay"].explanation.endswith(f"null: {plain.decay:g}")
    assert options["dynamic_segment"].explanation.endswith(f"null: {plain.segment}")


def test_one_character_has_no_loss() -> None:
    with pytest.raises(ValueError, match="2 characters"):
        dynamic_loss(network("rnn"), np.zeros(1, np.int64), Rule(0.1, 0.0, 5))
    with pytest.raises(ValueError, match="2 characters"):
        gradient_rms(network("rnn"), np.zeros(1, np.int64), 5)
