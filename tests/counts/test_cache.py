"""What was counted is read again by who counts the same in the same way, and by nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from charrnn.counts import best_context, cache, count
from charrnn.counts import table as counting
from charrnn.data import SplitIds
from charrnn.training.counting import counted

RNG = np.random.default_rng(5)
IDS = RNG.integers(0, 6, 4000)
TRAIN, VAL = SplitIds(IDS[:3000]), SplitIds(IDS[3000:])


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file in which the counts are."""
    path = tmp_path / "text.counts"
    assert counted(TRAIN, VAL, 6, 4, 10_000, cache_file=path) is not None
    return path


def is_counted_anew(monkeypatch: pytest.MonkeyPatch, *arguments, cache_file: Path) -> bool:  # type: ignore[no-untyped-def]
    calls = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "charrnn.training.counting.best_context",
            lambda *them: calls.append(1) or best_context(*them),
        )
        found = counted(*arguments, cache_file=cache_file)
    train, val, size, context, characters = arguments
    expected = best_context(train[:characters], val[:characters], size, context)
    assert found is not None
    assert expected is not None
    assert found[1:] == expected[1:]
    for name, array in expected.table.arrays().items():
        np.testing.assert_array_equal(found.table.arrays()[name], array)
    return bool(calls)


def test_the_same_split_is_counted_once(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept.read_bytes()
    assert not is_counted_anew(monkeypatch, TRAIN, VAL, 6, 4, 10_000, cache_file=kept)
    assert kept.read_bytes() == before


def test_another_is_counted_anew(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = SplitIds(IDS[1000:])
    for other in (
        (moved, VAL, 6, 4, 10_000),
        (TRAIN, moved, 6, 4, 10_000),
        (TRAIN, VAL, 7, 4, 10_000),
        (TRAIN, VAL, 6, 3, 10_000),
        (TRAIN, VAL, 6, 4, 2000),
    ):
        assert is_counted_anew(monkeypatch, *other, cache_file=kept)
        assert not is_counted_anew(monkeypatch, *other, cache_file=kept)
        assert len(list(kept.parent.iterdir())) == 1
    monkeypatch.setattr(counting, "DISCOUNTS", (0.7, 1.0, 1.3))
    assert is_counted_anew(monkeypatch, TRAIN, VAL, 6, 4, 10_000, cache_file=kept)


def test_a_damaged_file_is_counted_anew(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kept.read_bytes()
    for content in (b"", b"nothing", whole[:-9], whole[:300] + bytes(len(whole) - 300)):
        kept.write_bytes(content)
        assert is_counted_anew(monkeypatch, TRAIN, VAL, 6, 4, 10_000, cache_file=kept)
        assert kept.read_bytes() == whole


def test_where_nothing_can_be_written_it_is_counted_each_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.write_text("a file, in which no other can be")
    found = best_context(TRAIN[:], VAL[:], 6)
    assert found is not None
    cache.write(folder / "text.counts", "key", found)
    assert cache.read(folder / "text.counts", "key", 6) is None
    if os.geteuid():
        tmp_path.chmod(0o500)
        cache.write(tmp_path / "text.counts", "key", found)


def test_a_context_that_is_cut_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = SplitIds(np.resize(RNG.integers(0, 4, 300), 3000))
    assert counted(text, text, 4, 6, 10_000) is not None
    assert "entries" not in capfd.readouterr().err
    nodes = len(count(text[:], 4, 3).characters)
    monkeypatch.setattr("charrnn.training.counting.MAX_NODES", nodes)
    monkeypatch.setattr(counting, "MAX_NODES", nodes)
    found = counted(text, text, 4, 6, 10_000)
    assert found is not None
    assert found.table.context == 3
    assert found.is_cut
    assert f"contexts of 3 characters; longer ones would have more than {nodes:,} entries" in (
        capfd.readouterr().err
    )
