"""Words, pairs and the lengths of runs against plain definitions, and hostile arrays of them."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn.counts.pairs import PairTable, count_pairs, number_symbols
from charrnn.counts.run_lengths import RunLengths, count_runs
from charrnn.counts.words import WordTable, count_words, number_letters
from charrnn.text.vocabulary import Vocabulary
from tests.generation.definition import Words
from tests.generation.models import TEXT, make_model
from tests.tools import accept_damaged

VOCABULARY = make_model().vocabulary
LETTERS = number_letters(VOCABULARY)
IDS = VOCABULARY.encode(TEXT.replace("cat", "category", 3) + "The end")
OTHER = "Hats! extraordinarily, extraordinary mats 'n' rats\n"
TEXTS = [IDS, VOCABULARY.encode(OTHER * 2)]
ASKED = "thE mat's zebra xcats rat extraordinaril extraordinarily- Wha ha, mats 'n' q " + TEXT[:400]


def test_upper_and_lower_case_are_one_letter_except_in_bytes() -> None:
    letters = number_letters(Vocabulary(list("aAäÄ '3Éßहि")))
    assert (letters > 0).tolist() == [True] * 4 + [False] * 3 + [True] * 4
    assert letters[0] == letters[1] != letters[2] == letters[3]
    of_bytes = number_letters(Vocabulary(["a", "A", "\udcc3", "\udce4", " "]))
    assert (of_bytes > 0).tolist() == [True] * 4 + [False]
    assert of_bytes[0] == of_bytes[1] != of_bytes[2] != of_bytes[3]


@pytest.mark.parametrize("longest", [3, 12])
def test_known_words_and_pairs_are_left_by_the_definition(longest: int) -> None:
    words = count_words(TEXTS, LETTERS, longest)
    assert words is not None
    pairs = count_pairs(TEXTS, words, number_symbols(VOCABULARY, LETTERS))
    definition = Words([VOCABULARY.decode(ids) for ids in TEXTS], longest)
    word = pair = 0
    limited = np.zeros(2)
    for end, id_ in enumerate(VOCABULARY.encode(ASKED).tolist(), 1):
        word, pair = words.extend(id_, word), pairs.extend(id_, word, pair)
        scores = np.zeros((2, 65))
        if word >= 0:
            scores[0, words.trie.list_followers(word)] += 1
        if (times := pairs.count_passages(pair)) > 1:
            scores[1, pairs.trie.list_followers(pair)] += 2 - 2 / times
        costs = definition.costs(ASKED[:end], 1, np.exp(-1.0), VOCABULARY.characters)
        lowered, expected = scores.sum(0), -np.array([*costs.values()])
        np.testing.assert_allclose(
            lowered - lowered.max(), expected - expected.max(), err_msg=ASKED[:end]
        )
        limited += scores.any(1)
    assert min(limited) > 50


def test_arrays_that_are_no_words_and_pairs_are_refused() -> None:
    """Check that what is accepted can be walked and predicts finite numbers."""
    words, runs = count_words(TEXTS, LETTERS, 6), count_runs(TEXTS[0], 65, 5)
    assert words is not None
    pairs = count_pairs(TEXTS, words, number_symbols(VOCABULARY, LETTERS))
    arrays = {**words.to_arrays(), **runs.to_arrays(), **pairs.to_arrays()}

    def read(hostile: dict[str, np.ndarray]) -> tuple[WordTable, RunLengths, PairTable]:
        table = WordTable.from_arrays(65, hostile)
        lengths = RunLengths.from_arrays(65, 5, hostile)
        return table, lengths, PairTable.from_arrays(table, hostile)

    p = np.full((300, 65), 1 / 65)
    ids = np.concatenate([TEXTS[0][:100], np.random.default_rng(4).integers(0, 65, 200)])
    for _, _, (table, lengths, couples) in accept_damaged(arrays, read, least=60):
        nodes = [(0, 0)]
        for id_ in ids.tolist():
            word, pair = nodes[-1]
            nodes.append((table.extend(id_, word), couples.extend(id_, word, pair)))
        for trie, column in zip((table.trie, couples.trie), np.array(nodes[1:]).T, strict=True):
            assert np.isfinite(trie.score(column, p)[2]).all()
        assert np.isfinite(lengths.find_odds(ids, np.full(300, 6))[0]).all()
    for size in (10, 66):
        with pytest.raises(ValueError, match="its words"):
            WordTable.from_arrays(size, arrays)


def test_the_runs_of_a_character_are_counted_if_they_are_long_and_not_the_whole_text() -> None:
    text = [1] * 8 + [2] + [1] * 8 + [2] + [1] * 12 + [2] + [3] * 5 + [1] * 340 + [2] * 9
    runs = count_runs(np.array(text), 5, 6)
    assert runs.characters.tolist() == [1, 2]
    assert [runs.counts[0, length] for length in (8, 12, 255)] == [2, 1, 1]
    assert runs.counts.sum() == 5
    assert not len(count_runs(np.zeros(50, int), 1, 6).characters)
