"""Streams are the text, whichever way they are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.data import EncodedText
from charrnn.streams import Streams, cut_streams, fitting_sizes
from charrnn.text.vocabulary import Vocabulary


def streams_of(size: int, batch: int, seq: int) -> tuple[np.ndarray, Streams]:
    """Ids that are all different, and their streams."""
    ids = np.arange(size, dtype="u4") + 1
    splits = {"train": ids, "val": ids[:0], "test": ids[:0]}
    vocabulary = Vocabulary([chr(0x4E00 + i) for i in range(size)])
    encoded = EncodedText(Path("x.h5"), Path("x.json"), vocabulary, splits)
    return ids, cut_streams(encoded, "train", *fitting_sizes(size, batch, seq))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.integers(1, 12), st.integers(1, 30), st.integers(-1, 3))
def test_windows_give_back_the_corpus_row_by_row(
    size: int, batch: int, seq: int, epoch: int
) -> None:
    ids, streams = streams_of(size, batch, seq)
    offset, order = 0, np.arange(streams.batch_size)
    if epoch >= 0:
        streams = streams.shuffled(7, epoch)
        random = np.random.default_rng([7, epoch])
        offset, order = random.integers(size), random.permutation(len(order))
    length, seq = (size - 1) // streams.batch_size, streams.seq_length
    assert streams.windows == length // seq >= 1
    inputs, targets = zip(*(streams.window(k) for k in range(streams.windows)), strict=True)
    text = np.roll(ids, -offset).astype(int) - 1
    for row, place in enumerate(order):
        found = np.append(text, text[0])[place * length :][: streams.windows * seq + 1]
        assert np.array_equal(np.concatenate([i[row] for i in inputs]), found[:-1])
        assert np.array_equal(np.concatenate([t[row] for t in targets]), found[1:])
    shares = [streams.share(r, streams.batch_size).window(0)[0] for r in range(streams.batch_size)]
    assert np.array_equal(np.concatenate(shares), inputs[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 3000), st.integers(1, 500), st.integers(1, 500))
def test_too_little_text_shrinks_streams_first(size: int, batch: int, seq: int) -> None:
    fitted = fitting_sizes(size, batch, seq)
    assert fitted == (min(batch, max(1, (size - 1) // seq)), min(seq, (size - 1) // fitted[0]))
    assert fitted[1] >= 1
    if batch * seq < size:
        assert fitted == (batch, seq)


def test_torch_rnns_epoch_on_tiny_shakespeare() -> None:
    encoded = EncodedText(Path(), Path(), Vocabulary(["a"]), {"train": np.ones(892_316, "u1")})
    assert cut_streams(encoded, "train", 50, 50).windows == 356


@pytest.mark.parametrize("size", [0, 1])
def test_nothing_to_learn_from(size: int) -> None:
    with pytest.raises(ValueError, match="2 characters"):
        fitting_sizes(size, 50, 50)


def test_each_epoch_is_shuffled_anew_and_by_its_seed() -> None:
    _, streams = streams_of(1000, 6, 4)
    starts = {tuple(streams.shuffled(seed, epoch).starts) for seed in (1, 2) for epoch in range(9)}
    assert len(starts) == 18
    assert np.array_equal(streams.shuffled(1, 3).starts, streams.shuffled(1, 3).starts)
