"""Counts that go on counting against a plain definition in dictionaries."""

from __future__ import annotations

import tracemalloc
from collections import Counter, defaultdict

import numpy as np
import pytest

from charrnn.counts import Counts, Weights, count
from charrnn.counts.adaptive import RATE, AdaptiveCounts, GrowingWalk
from charrnn.counts.table import discounts_of
from tests.counts.test_table import TEXTS

RNG = np.random.default_rng(7)
SIZE = int(TEXTS["words"].max()) + 2


class Plain:
    """n of what came after each context, and how often what is not kept did, in dictionaries."""

    def __init__(self, table):
        self.size, self.context = table.vocabulary_size, table.context
        self.n, self.dropped = defaultdict(Counter), Counter()
        passages = {0: ()}
        for node in range(len(table.children)):
            passage = passages[node]
            self.dropped[passage] = int(table.dropped[node])
            for child in range(table.starts[node], table.starts[node + 1]):
                character = int(table.characters[child])
                passages[child] = (*passage, character)
                self.n[passage][character] = int(table.counts[child])

    def contexts(self, before):
        longest = min(self.context, len(before))
        return [tuple(before[len(before) - k :]) for k in range(longest + 1)]

    def predicted(self, before):
        p = np.full(self.size, 1 / self.size)
        for k, context in enumerate(self.contexts(before)):
            after = self.n[context]
            if not after:
                continue
            total = sum(after.values()) + self.dropped[context]
            discounts = discounts_of(k, self.context)
            taken = {c: discounts[min(n, 3) - 1] for c, n in after.items()}
            p *= (sum(taken.values()) + self.dropped[context]) / total
            for character, n in after.items():
                p[character] += (n - taken[character]) / total
        return p

    def count(self, before, character):
        for context in reversed(self.contexts(before)):
            self.n[context][character] += 1
            if self.n[context][character] > 1:
                break


def text_like(name, length=120):
    """A text that begins as the counted one goes on, and becomes another."""
    text, size = TEXTS[name], int(TEXTS[name].max()) + 2
    return np.concatenate([np.resize(text, length // 2), RNG.integers(0, size, length // 2)])


@pytest.mark.parametrize("context", [1, 3, 6])
@pytest.mark.parametrize("name", TEXTS)
def test_goes_on_as_defined(name, context):
    table = count(TEXTS[name], int(TEXTS[name].max()) + 2, context)
    plain, walk = Plain(table), GrowingWalk(table, 10_000)
    nodes, before = [0], []
    for character in text_like(name).tolist():
        p = walk.predicted(nodes)
        assert p.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(p, plain.predicted(before), atol=1e-6)
        plain.count(before, character)
        nodes = walk.after(nodes, character)
        before.append(character)


def test_the_table_stays_as_it_is():
    table = count(TEXTS["words"], SIZE, 4)
    before = {name: array.copy() for name, array in table.arrays().items()}
    AdaptiveCounts(Counts(table, Weights.everywhere(0.5, 0.5)), 1000).read(TEXTS["words"])
    for name, array in table.arrays().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("weights", [((0.5, 0.7), (0.4, 0.2)), ((0.0, 0.0), (1.0, 1.0))])
def test_the_loss_is_that_of_a_mix_whose_weights_follow(weights):
    table = count(TEXTS["words"], SIZE, 4)
    ids = text_like("words", 200)
    network = np.log(RNG.dirichlet(np.ones(SIZE), len(ids) - 1)).astype(np.float32)
    walks = [Plain(table), Plain(count(np.zeros(0, int), SIZE, 4))]
    walks[1].context = table.context
    for walk in walks:
        walk.count([], int(ids[0]))
    expected, w = 0.0, np.array([*np.mean(weights, 1), 0.0])
    for t in range(1, len(ids)):
        before, target = ids[:t].tolist(), int(ids[t])
        x = np.stack([network[t - 1], *(np.log(walk.predicted(before)) for walk in walks)])
        if not any(weights[0]):
            x[0] = 0
        p = np.exp(w @ x)
        p /= p.sum()
        expected -= np.log(p[target])
        w += RATE * (x[:, target] - x @ p)
        for walk in walks:
            walk.count(before, target)
    adaptive = AdaptiveCounts(Counts(table, Weights(*weights)), 10_000)
    for first, last in ((0, 1), (1, 60), (60, 199)):
        given = network[first:last] if any(weights[0]) else None
        adaptive.read(ids[first : last + 1], given)
    assert adaptive.loss == pytest.approx(expected / (len(ids) - 1), abs=1e-6)
    np.testing.assert_allclose(adaptive.weights, w, atol=1e-6)


def test_a_character_is_scored_before_it_is_counted():
    table, ids = count(TEXTS["words"], SIZE, 4), TEXTS["words"][:80]
    losses = []
    for last in (SIZE - 1, 3):  # the last character is one or another
        adaptive = AdaptiveCounts(Counts(table, Weights.everywhere(0.0, 1.0)), 1000)
        adaptive.read(np.append(ids, last)[:-1])
        losses.append(adaptive.loss)
    assert losses[0] == losses[1]


def test_what_it_takes_is_bounded():
    """When there is no room, what is known is counted on, and all still sums to one."""
    table = count(TEXTS["words"], SIZE, 4)
    walk, nodes = GrowingWalk(table, 50), [0]
    for character in RNG.integers(0, SIZE, 500).tolist():
        nodes = walk.after(nodes, character)
        assert walk.predicted(nodes).sum() == pytest.approx(1, abs=1e-5)
    tracemalloc.start()
    for character in RNG.integers(0, SIZE, 2000).tolist():
        nodes = walk.after(nodes, character)
        walk.predicted(nodes)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 20_000  # ten bytes a character; a dictionary's entry takes a hundred
