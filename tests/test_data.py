"""A file that is a preprocessed text is read, and every other is refused; streams are the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.data import (
    EncodedText,
    Streams,
    cut_streams,
    encode_split,
    fit_sizes,
    open_data,
)
from charrnn.errors import InputError
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Patch
from tests.tools import damage_is_noticed

IDS = np.random.default_rng(1).integers(1, 4, 5000).astype("u1")


def write(folder: Path, characters: str = "abc", **datasets: object) -> tuple[Path, Path]:
    h5, json = folder / "x.h5", folder / "x.json"
    h5.unlink(missing_ok=True)  # as `preprocess` does: never write into a mapped file
    splits = {"train": [1, 2, 3, 2], "val": [1, 2], "test": [3], **datasets}
    with h5py.File(h5, "w") as file:
        for name, values in splits.items():
            if callable(values):
                values(file)
            elif isinstance(values, dict):
                file.create_dataset(name, **values)
            elif values is not None:
                file[name] = np.asarray(values, "u1") if isinstance(values, list) else values
    Vocabulary(list(characters)).write_json(json)
    return h5, json


@pytest.mark.parametrize(
    "storage", [{"chunks": (64,)}, {"chunks": (64,), "compression": "gzip"}, {"dtype": "u4"}]
)
def test_ids_read_the_same_in_every_storage(tmp_path: Path, storage: dict[str, Any]) -> None:
    plain = open_data(*write(tmp_path, train=IDS))
    assert isinstance(plain.splits["train"].base, np.memmap)
    other = open_data(*write(tmp_path, train={"data": IDS, **storage}))
    for data in (plain, other):
        assert np.array_equal(data.splits["train"], IDS)
        assert np.array_equal(data.get_split("train")[:], IDS - 1)
    assert other.fingerprint == plain.fingerprint


def test_a_fingerprint_tells_texts_apart(tmp_path: Path) -> None:
    changed = np.append(IDS[:-1], IDS[-1] % 3 + 1)
    data = [("abc", IDS), ("abd", IDS), ("abc", changed)]
    assert len({open_data(*write(tmp_path, c, train=ids)).fingerprint for c, ids in data}) == 3


OTHER, SECRET = "other.h5", [("secret", 0, 40)]


def make_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((40,), "u1")
    layout[:] = h5py.VirtualSource(OTHER, "x", (40,))
    file.create_virtual_dataset("train", layout)


def make_two_links(file: h5py.File) -> None:
    file["far"], file["train"] = h5py.ExternalLink(OTHER, "x"), h5py.SoftLink("far")


@pytest.mark.parametrize(
    ("datasets", "what"),
    [
        ({"val": None}, "no dataset /val"),
        ({"train": np.zeros(4, "f4")}, "not a one-dimensional array of integers"),
        ({"train": [1, 2, 4]}, "the id 4"),
        ({"train": [0, 1]}, "the id 0"),
        ({"train": {"shape": 10**13, "dtype": "u1", "chunks": (1000,)}}, f"has {10**13} ids"),
        # ids in other files
        (
            {"train": {"shape": 40, "dtype": "u1", "external": SECRET}},
            "/train .*external.* must be in the file itself",
        ),
        ({"train": make_virtual}, "/train .*virtual dataset.* must be in the file itself"),
        (
            {"train": lambda f: f.update({"train": h5py.ExternalLink(OTHER, "x")})},
            "/train .*a link.* must be in the file itself",
        ),
        ({"train": make_two_links}, "/train .*a link.* must be in the file itself"),
    ],
)
def test_wrong_files_are_named(
    tmp_path: Path, monkeypatch: Patch, datasets: dict[str, object], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"\1" * 40)
    with h5py.File(OTHER, "w") as other:
        other["x"] = np.ones(40, "u1")
    h5, json = write(tmp_path, **datasets)
    with pytest.raises(InputError, match=what) as refused:
        open_data(h5, json)
    assert str(h5) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["h5", "json"])
def test_damaged_files_are_refused_or_read(tmp_path: Path, kind: str) -> None:
    h5, json = write(tmp_path, train=np.tile(np.array([1, 2, 3], "u1"), 300))

    def read(path: Path) -> None:
        try:
            data = open_data(h5, json)
            for split in ("train", "val", "test"):
                data.get_split(split)[:]
        except InputError as refused:  # it may name the other of the two
            raise InputError(f"{path}: {refused}") from None

    path = tmp_path / f"x.{kind}"
    assert damage_is_noticed(path, read, lambda data: None, 75, path.stat().st_size) > 20


def test_a_split_in_another_vocabulary(tmp_path: Path) -> None:
    data = open_data(*write(tmp_path))
    assert encode_split(data, "train", Vocabulary(list("xcba")))[:].tolist() == [3, 2, 1, 2]
    with pytest.raises(InputError, match=r"x\.h5: test: .*'c'"):
        encode_split(data, "test", Vocabulary(list("ab")))


def streams_of(size: int, batch: int, seq: int) -> tuple[np.ndarray, Streams]:
    """Make ids that are all different, and their streams."""
    ids = np.arange(size, dtype="u4") + 1
    splits = {"train": ids, "val": ids[:0], "test": ids[:0]}
    vocabulary = Vocabulary([chr(0x4E00 + i) for i in range(size)])
    encoded = EncodedText(Path("x.h5"), Path("x.json"), vocabulary, splits)
    return ids, cut_streams(encoded, "train", *fit_sizes(size, batch, seq))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.integers(1, 12), st.integers(1, 30), st.integers(-1, 3))
def test_windows_give_back_the_corpus_by_rows(size: int, batch: int, seq: int, epoch: int) -> None:
    ids, streams = streams_of(size, batch, seq)
    offset, order = 0, np.arange(streams.batch_size)
    if epoch >= 0:
        streams = streams.shuffle(batch, epoch)
        random = np.random.default_rng([batch, epoch])
        offset, order = random.integers(size), random.permutation(len(order))
    # with too little text there are fewer streams, and only then shorter windows
    assert streams.batch_size == min(batch, max(1, (size - 1) // seq))
    length, seq = (size - 1) // streams.batch_size, min(seq, (size - 1) // streams.batch_size)
    assert streams.seq_length == seq
    assert len(streams) == length // seq >= 1
    blocks = [streams.read_windows(k, k + 1) for k in range(len(streams))]
    inputs, targets = [b[:, :-1] for b in blocks], [b[:, 1:] for b in blocks]
    text = np.roll(ids, -offset).astype(int) - 1
    for row, place in enumerate(order):
        found = np.append(text, text[0])[place * length :][: len(streams) * seq + 1]
        assert np.array_equal(np.concatenate([i[row] for i in inputs]), found[:-1])
        assert np.array_equal(np.concatenate([t[row] for t in targets]), found[1:])
    for world_size in (size for size in (2, 3, len(order)) if len(order) % size == 0):
        ranks = [streams.select_rank(rank, world_size) for rank in range(world_size)]
        assert np.array_equal(np.concatenate([r.read_windows(0, 1) for r in ranks]), blocks[0])
