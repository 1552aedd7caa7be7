"""The table of counts against a plain definition in dictionaries."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from charrnn.counts import CountTable, best_context, count
from charrnn.counts import table as counting
from charrnn.counts.table import discounts_of

RNG = np.random.default_rng(0)
TEXTS = {
    "random": RNG.integers(0, 5, 400),
    "skewed": np.minimum(RNG.geometric(0.4, 600) - 1, 7),
    "a few": np.array([0, 1, 0, 1, 0, 2, 0, 1]),
    "one": np.array([3]),
    "the same": np.zeros(50, int),
    "of many": RNG.choice([0, 1500, 2999], 200),  # few of their characters fit into one number
    "the same of many": np.full(50, 3000),
    "words": np.array([ord(c) % 29 for c in "the cat sat on the mat, the cat that sat " * 9]),
}


def plain(text, size, context, before):
    """p (V,) after `before`, by the formulas of charrnn/counts/table.py, with dictionaries."""
    text = [-1, *text]  # the beginning is a way in which what follows is preceded
    context = max(1, min(context, len(text) - 2))
    occurrences = Counter(tuple(text[i : i + context + 1]) for i in range(1, len(text) - context))
    seen = {tuple(text[i:j]) for i in range(len(text)) for j in range(i + 1, len(text) + 1)
            if j - i <= context + 1}  # fmt: skip
    n = defaultdict(Counter)
    for passage, times in occurrences.items():
        n[passage[:-1]][passage[-1]] = times
    for passage in seen:
        if len(passage) > 1 and -1 not in passage[1:] and len(passage) - 2 < context:
            n[passage[1:-1]][passage[-1]] += 1
    p = [1 / size] * size
    for k in range(min(context, len(before)) + 1):
        after = n[tuple(before[len(before) - k :])]
        total = sum(after.values())
        if not total:
            break
        discounts = discounts_of(k, context)
        taken = {c: min(times, discounts[min(times, 3) - 1]) for c, times in after.items()}
        left = sum(taken.values()) / total
        p = [left * p[c] + (after[c] - taken.get(c, 0)) / total for c in range(size)]
    return p


@pytest.mark.parametrize("context", [1, 2, 3, 6])
@pytest.mark.parametrize("name", TEXTS)
def test_as_defined(name, context):
    text = TEXTS[name]
    size = int(text.max()) + 2  # one character never comes
    table = count(text, size, context)
    read = RNG.integers(0, size, (2, 30))
    read[0, :20] = np.resize(text, 20)
    p, lengths, _ = table.read(read, table.beginning(2))
    assert p.sum(-1) == pytest.approx(1, abs=1e-5)
    for row, of_row in zip(read.tolist(), p, strict=True):
        for t in range(len(row)):
            expected = plain(text.tolist(), size, context, row[: t + 1])
            np.testing.assert_allclose(of_row[t], expected, atol=1e-6)
    passages = {tuple(text[i:j]) for i in range(len(text)) for j in range(i, i + context + 1)}
    for row, of_row in zip(read.tolist(), lengths.tolist(), strict=True):
        for t in range(len(row)):
            ends = (k for k in range(min(table.context, t + 1) + 1)
                    if tuple(row[t + 1 - k : t + 1]) in passages)  # fmt: skip
            assert of_row[t] == max(ends)
    np.testing.assert_allclose(table.unigram, plain(text.tolist(), size, context, []), atol=1e-6)


def test_in_pieces_as_in_one():
    text = TEXTS["words"]
    table = count(text, 29, 4)
    whole, _, end = table.read(text[None, :200], table.beginning(1))
    state, parts = table.beginning(1), []
    for first, last in ((0, 1), (1, 3), (3, 3), (3, 120), (120, 200)):
        p, _, state = table.read(text[None, first:last], state)
        parts.append(p)
    np.testing.assert_array_equal(np.concatenate(parts, 1), whole)
    np.testing.assert_array_equal(state, end)


@pytest.mark.parametrize("name", TEXTS)
def test_arrays_there_and_back(name):
    size = int(TEXTS[name].max()) + 2
    table = count(TEXTS[name], size, 5)
    same = CountTable.from_arrays(size, table.context, table.arrays())
    read = RNG.integers(0, size, (1, 50))
    np.testing.assert_array_equal(same.read(read, same.beginning(1))[0],
                                  table.read(read, table.beginning(1))[0])  # fmt: skip


def test_arrays_that_are_no_table_are_refused():
    table = count(TEXTS["words"], 29, 4)
    arrays = table.arrays()
    for name, values in arrays.items():
        too_large = np.full_like(values, 255)
        for change in (values[:-1], values[::-1].copy(), values.astype(np.int64), too_large):
            mutated = {**arrays, name: change}
            try:
                made = CountTable.from_arrays(29, 4, mutated)
            except ValueError:
                continue
            # what is accepted is some table of this vocabulary
            p, _, _ = made.read(RNG.integers(0, 29, (1, 40)), made.beginning(1))
            assert np.isfinite(p).all()


@pytest.mark.parametrize("tried", [1 << 17, 100])
def test_the_best_context_has_the_loss_that_is_told(monkeypatch, tried):
    monkeypatch.setattr(counting, "TRIED", tried)
    text = RNG.integers(0, 4, 3000)
    text[2::3] = (text[::3] + text[1::3]) % 4  # two characters say what the third is
    table, loss, _ = best_context(text[:2400], text[2400:], 4)
    p, _, _ = table.read(text[None, 2400:-1], table.beginning(1))
    expected = -np.log(p[0, np.arange(599), text[2401:]].astype(np.float64)).mean()
    assert loss == pytest.approx(expected, abs=1e-6)
    assert table.context >= 2
    assert loss < math.log(4) - 0.1


def test_counting_ends_when_it_shall_not_go_on(monkeypatch):
    monkeypatch.setattr(counting, "TRIED", 20)
    text = TEXTS["words"]

    def found(answers):
        return best_context(text, text[:50], 29, goes_on=lambda: next(answers, False))

    times = 0
    while found(itertools.repeat(True, times)) is None:
        times += 1
    # once for each level, for each context, and for each part of the held-out text
    assert times >= 20
