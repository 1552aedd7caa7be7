"""Streams are the text, whichever way they are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.data import EncodedText
from charrnn.streams import cut_streams, fitting_sizes
from charrnn.text.vocabulary import Vocabulary


def in_memory(train: np.ndarray, vocabulary_size: int = 200) -> EncodedText:
    characters = [chr(0x4E00 + i) for i in range(vocabulary_size)]
    empty = train[:0]
    splits = {"train": train, "val": empty, "test": empty}
    return EncodedText(Path("x.h5"), Path("x.json"), Vocabulary(characters), splits)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.integers(1, 12), st.integers(1, 30))
def test_windows_give_back_the_corpus_row_by_row(size: int, batch: int, seq: int) -> None:
    corpus = (np.arange(size) * 7 % 199 + 1).astype("u1")
    batch, seq = fitting_sizes(size, batch, seq)
    streams = cut_streams(in_memory(corpus), "train", batch, seq)
    length = (size - 1) // batch
    assert streams.windows == length // seq >= 1
    inputs, targets = zip(*(streams.window(k) for k in range(streams.windows)), strict=True)
    for row in range(batch):
        text = corpus[row * length : row * length + streams.windows * seq + 1].astype(int) - 1
        assert np.array_equal(np.concatenate([i[row] for i in inputs]), text[:-1])
        assert np.array_equal(np.concatenate([t[row] for t in targets]), text[1:])


def test_torch_rnns_epoch_on_tiny_shakespeare() -> None:
    streams = cut_streams(in_memory(np.ones(892_316, "u1")), "train", 50, 50)
    assert streams.windows == 356


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 3000), st.integers(1, 500), st.integers(1, 500))
def test_too_little_text_shrinks_streams_first(size: int, batch: int, seq: int) -> None:
    fitted = fitting_sizes(size, batch, seq)
    assert fitted == (min(batch, max(1, (size - 1) // seq)), min(seq, (size - 1) // fitted[0]))
    if batch * seq < size:
        assert fitted == (batch, seq)
    assert fitted[1] >= 1


@pytest.mark.parametrize("size", [0, 1])
def test_nothing_to_learn_from(size: int) -> None:
    with pytest.raises(ValueError, match="2 characters"):
        fitting_sizes(size, 50, 50)


def test_shares_of_several_processes_are_the_rows() -> None:
    streams = cut_streams(in_memory((np.arange(100) % 50 + 1).astype("u1")), "train", 6, 4)
    whole, _ = streams.window(1)
    parts = [streams.share(rank, 3).window(1)[0] for rank in range(3)]
    assert np.array_equal(np.concatenate(parts), whole)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.integers(1, 12), st.integers(1, 30), st.integers(0, 3))
def test_shuffled_streams_are_the_text_from_another_place_on(
    size: int, batch: int, seq: int, epoch: int
) -> None:
    corpus = np.arange(size).astype("u4") + 1
    batch, seq = fitting_sizes(size, batch, seq)
    plain = cut_streams(in_memory(corpus, size), "train", batch, seq)
    shuffled = plain.shuffled(7, epoch)
    assert (shuffled.batch_size, shuffled.windows) == (batch, plain.windows)
    random = np.random.default_rng([7, epoch])
    offset, order = random.integers(size), random.permutation(batch)
    rows = np.empty((batch, plain.length + 1), int)
    rows[order] = shuffled.columns(0, plain.length + 1)
    rotated = np.roll(corpus, -offset)
    assert np.array_equal(rows[:, :-1].ravel(), rotated[: batch * plain.length])
    assert np.array_equal(rows[:, 1:].ravel(), rotated[1:][: batch * plain.length])


def test_each_epoch_is_shuffled_anew_and_by_its_seed() -> None:
    streams = cut_streams(in_memory(np.arange(1000).astype("u4") % 50 + 1), "train", 6, 4)
    starts = {tuple(streams.shuffled(seed, epoch).starts) for seed in (1, 2) for epoch in range(9)}
    assert len(starts) == 18
    assert np.array_equal(streams.shuffled(1, 3).starts, streams.shuffled(1, 3).starts)
