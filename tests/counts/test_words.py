"""The word table and the lengths of runs against plain definitions, and hostile arrays of them."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn.counts.run_lengths import RunLengths, count_runs
from charrnn.counts.words import WordTable, count_words, number_letters
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import TEXT, make_model
from tests.tools import accept_damaged

RNG = np.random.default_rng(4)
VOCABULARY = make_model().vocabulary
LETTERS = number_letters(VOCABULARY)
IDS = VOCABULARY.encode(TEXT.replace("cat", "category", 3) + "The end")


def test_upper_and_lower_case_are_one_letter_except_in_bytes() -> None:
    letters = number_letters(Vocabulary(list("aAäÄ '3Éßहि")))
    assert (letters > 0).tolist() == [True] * 4 + [False] * 3 + [True] * 4
    assert letters[0] == letters[1] != letters[2] == letters[3]
    of_bytes = number_letters(Vocabulary(["a", "A", "\udcc3", "\udce4", " "]))
    assert (of_bytes > 0).tolist() == [True] * 4 + [False]
    assert of_bytes[0] == of_bytes[1] != of_bytes[2] != of_bytes[3]


def test_a_text_without_spaces_has_shorter_words_or_none() -> None:
    signs = Vocabulary([chr(0x4E00 + n) for n in range(500)])
    ids, letters = RNG.integers(0, 500, 20_000), number_letters(signs)
    table = count_words(ids, letters, 12, 10**9)
    assert table is not None
    assert len(table.characters) <= 30_000
    assert len(table.keys) < 500 + 20_000  # after one letter, not after two
    assert count_words(ids, letters, 12, 1000) is None
    assert count_words(IDS, LETTERS, 0, 10**6) is None


def test_a_word_table_survives_packing_and_refuses_wrong_arrays() -> None:
    """Check that an accepted table can be walked and predicts finite numbers."""
    words = count_words(IDS, LETTERS, 6, 10**6)
    runs = count_runs([IDS], 65, 5)
    assert words is not None
    assert len(runs.counts)
    arrays = {**words.to_arrays(), **runs.to_arrays()}
    assert WordTable.from_arrays(65, arrays).keys.tolist() == words.keys.tolist()
    assert np.array_equal(RunLengths.from_arrays(65, 5, arrays).odds, runs.odds)

    def read(hostile: dict[str, np.ndarray]) -> tuple[WordTable, RunLengths]:
        return WordTable.from_arrays(65, hostile), RunLengths.from_arrays(65, 5, hostile)

    for _, _, (table, lengths) in accept_damaged(arrays, read, least=41):
        ids = RNG.integers(0, 65, (1, 300))
        nodes = table.find_nodes(ids, np.zeros(1, np.int32))[0]
        assert nodes.max() < len(table.sizes)
        assert np.isfinite(table.score(nodes, np.full((300, 65), 1 / 65)).values).all()
        assert np.isfinite(lengths.find_odds(ids[0], np.full(300, 6)).odds).all()
    for size in (10, 66):
        with pytest.raises(ValueError, match="its words"):
            WordTable.from_arrays(size, arrays)


def test_another_text_counts_only_where_the_first_has_no_runs_of_a_character() -> None:
    text = [1] * 8 + [2] + [1] * 8 + [2] + [1] * 12 + [2] + [3] * 5 + [1] * 40 + [2] * 9
    joined = count_runs([np.array(text), np.array([1] * 90 + [0] * 9 + [4])], 5, 6)
    assert joined.lengths[joined.characters == 1].tolist() == [8, 12, 40]
    assert {*joined.characters.tolist()} == {0, 1, 2}
    assert not len(count_runs([np.zeros(50, int)], 1, 6).characters)
