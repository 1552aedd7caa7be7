"""Known words against a plain definition, from a word table and from texts; and hostile arrays."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from charrnn.counts.known_words import KnownWords
from charrnn.counts.words import UNKNOWN, count_words, number_letters
from tests.generation.definition import Words
from tests.generation.models import TEXT, make_model
from tests.tools import accept_damaged

RNG = np.random.default_rng(4)
VOCABULARY = make_model().vocabulary
LETTERS = number_letters(VOCABULARY)
OTHER = "Hats! extraordinarily extraordinary mats 'n' rats\n"
TEXTS = [VOCABULARY.encode(text) for text in (TEXT, OTHER)]
ASKED = "thE mat's zebras xcats rat extraordinaril extraordinarily- Wha ha, q " + TEXT[:200]


def of_table(longest: int) -> tuple[KnownWords, Words]:
    table = count_words(np.concatenate(TEXTS), LETTERS, longest, 10**6)
    assert table is not None
    return KnownWords.from_table(table), Words([TEXT + OTHER], longest)


KNOWN = {
    "texts": (KnownWords.from_texts(TEXTS, LETTERS), Words([TEXT, OTHER])),
    "a table": of_table(12),
    "a table of few letters": of_table(2),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_words_leave_words_by_the_definition(name: str) -> None:
    known, words = KNOWN[name]
    characters, ids = VOCABULARY.characters, VOCABULARY.encode(ASKED).tolist()
    node, limited = 0, 0
    for end, id_ in enumerate(ids, 1):
        node = known.extend(id_, node)
        assert node == known.find_node(ids[:end][-13:])
        costs = known.make_costs(node, 2.0)
        expected = words.costs(ASKED[:end], 1, np.exp(-2.0), characters)
        got = {} if costs is None else dict(zip(characters, costs.tolist(), strict=True))
        assert {c for c, cost in got.items() if cost} == expected.keys(), ASKED[:end]
        assert set(got.values()) <= {0.0, 2.0}
        limited += bool(expected)
    assert limited > 50


def test_known_words_survive_packing_and_refuse_wrong_arrays() -> None:
    """Check that an accepted table can be walked."""
    known, _ = KNOWN["texts"]
    arrays = known.to_arrays()
    again = KnownWords.from_arrays(65, arrays).to_arrays()
    assert all(np.array_equal(again[name], values) for name, values in arrays.items())
    for _, _, hostile in accept_damaged(arrays, partial(KnownWords.from_arrays, 65), least=11):
        node = 0
        for id_ in RNG.integers(0, 65, 300).tolist():
            node = hostile.extend(id_, node)
            assert UNKNOWN <= node < len(hostile.num_children)
            hostile.make_costs(node, 1.0)
