"""The table of counts against a plain definition in dictionaries."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from charrnn.counts import fitting
from charrnn.counts.fitting import choose_table
from charrnn.counts.passages import count_tables
from charrnn.counts.table import CountTable
from tests.generation.definition import KneserNey
from tests.generation.models import count_passages
from tests.tools import accept_damaged

RNG = np.random.default_rng(0)
TEXTS = {
    "random": RNG.integers(0, 5, 400),
    "a few": np.array([0, 1, 0, 1, 0, 2, 0, 1]),
    "one": np.array([3]),
    "of many": RNG.choice([0, 1500, 2999], 200),  # few of their characters fit into one number
    "the same of many": np.full(50, 3000),
    "indented": np.array(([1] * 8 + [2, 3, 1, 3] * 5 + [0]) * 9 + [1] * 28 + [2] + [1] * 20),
    "words": np.array([ord(c) % 29 for c in "the cat sat on the mat, the cat that sat " * 9]),
}


def predict_text(table, ids):
    """Compute p (N, T, V) of the next character, and the nodes (N, T, K) of its contexts."""
    nodes = np.empty((*ids.shape, table.context), np.int32)
    for n, row in enumerate(ids.tolist()):
        contexts = [0] * table.context
        for t, id_ in enumerate(row):
            nodes[n, t] = contexts = table.extend(id_, contexts)
    p = table.predict(nodes.reshape(-1, table.context))
    return p.reshape(*ids.shape, table.vocabulary_size), nodes


@pytest.mark.parametrize("context", [1, 2, 6])
@pytest.mark.parametrize("name", TEXTS)
def test_a_table_predicts_by_the_definition_of_kneser_ney(name, context):
    text = TEXTS[name]
    size = int(text.max()) + 2  # one character never occurs
    made = count_passages(text, size, context)
    table = CountTable.from_arrays(size, made.context, made.to_arrays())
    read = np.random.default_rng(1).integers(0, size, (2, 30))
    read[0, :20] = np.resize(text, 20)
    p, nodes = predict_text(table, read)
    lengths = np.count_nonzero(nodes, -1)
    definition = KneserNey(text.tolist(), size, context)
    for n, t in np.ndindex(read.shape):
        before = read[n, : t + 1].tolist()
        np.testing.assert_allclose(p[n, t], definition.probabilities(before), atol=1e-6)
        assert lengths[n, t] == definition.length(before)
    np.testing.assert_allclose(table.unigram, definition.probabilities([]), atol=1e-6)


def test_arrays_that_are_no_table_of_counts_are_refused():
    arrays = count_passages(TEXTS["words"], 29, 4).to_arrays()
    read = partial(CountTable.from_arrays, 29, 4)
    read_ids = np.random.default_rng(1).integers(0, 29, (1, 40))
    for name, change, made in accept_damaged(arrays, read, least=32):
        # what is accepted is some table of this vocabulary
        assert name in ("counts", "dropped") or not len(change)
        p, _ = predict_text(made, read_ids)
        assert (np.isfinite(p) & (p > 0)).all()
    # nor those of another vocabulary or context
    for size, context in ((12, 4), (29, 3), (29, 5), (29, 0), (29, 65)):
        with pytest.raises(ValueError, match="its counts are not"):
            CountTable.from_arrays(size, context, arrays)


@pytest.mark.parametrize("seed", range(3))
def test_the_context_with_the_lowest_cost_is_chosen(seed: int) -> None:
    text = np.random.default_rng(seed).integers(0, 4, 3000)
    text[2::3] = (text[::3] + text[1::3]) % 4  # two characters say what the third is
    held_out = text[2400:]
    tables = [*count_tables(text[:2400], 4)]
    assert [table.context for table in tables] == [*range(1, 9)]
    losses = []
    for context, table in enumerate(tables, 1):
        expected = count_passages(text[:2400], 4, context)
        np.testing.assert_equal(table.to_arrays(), expected.to_arrays())
        p, _ = predict_text(table, held_out[None, :-1])
        losses.append(-np.log(p[0, np.arange(599), held_out[1:]].astype(np.float64)).mean())
    sizes = np.array([len(table.characters) for table in tables])
    costs = losses + fitting.PRICE * np.log2(sizes + fitting.OTHER_NODES)
    assert choose_table(tables, None, None, held_out).context == 1 + costs.argmin() >= 2
    assert min(losses) < math.log(4) - 0.1
