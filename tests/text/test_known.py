"""The ids of what a model knows of a text: on the disk, whatever the text's size."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from charrnn.errors import InputError, RunError
from charrnn.text.known_ids import known, read_known
from charrnn.text.vocabulary import Vocabulary


def test_what_is_unknown_is_left_out_and_counted(folder: Path) -> None:
    (folder / "x.txt").write_text("a\u00dfb" * 50_000 + "\u00df", encoding="utf-8")
    found = read_known("x.txt", "utf-8", Vocabulary(["b", "a"]), skip=True)
    assert found.ids.dtype == np.uint8
    assert found.ids.tolist() == [1, 0] * 50_000
    assert found.unknown == 50_001
    found.release()
    assert found.ids[-1] == 0


def test_it_is_refused_by_name(folder: Path) -> None:
    (folder / "x.txt").write_text("a\u00dfb", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"data.input_txt=x.txt: .*'\u00df'.* or give unknown=skip"
    ):
        read_known("x.txt", "utf-8", Vocabulary(["b", "a"]), skip=False)
    assert read_known(["x.txt"], "utf-8", Vocabulary(list("a\u00dfb")), skip=False).unknown == 0


def test_bytes_are_looked_up_one_by_one(folder: Path) -> None:
    (folder / "x.txt").write_bytes(b"a\xc3\x9fb")
    vocabulary = Vocabulary(["a", "\udcc3"], is_bytes=True)
    for encoding in ("bytes", "utf-8"):
        found = read_known("x.txt", encoding, vocabulary, skip=True)
        assert (found.ids.tolist(), found.unknown) == ([0, 1], 2)


def test_nothing_known_is_no_ids() -> None:
    found = known(iter([np.array([-1, -1])]), 300)
    assert (len(found.ids), found.unknown, found.ids.dtype) == (0, 2, np.uint16)
    found.release()


def test_memory_does_not_grow_with_the_text() -> None:
    def pieces() -> Iterator[np.ndarray]:
        for _ in range(100):
            yield np.zeros(1 << 17, np.int64)  # 1 MB each

    tracemalloc.start()
    try:
        found = known(pieces(), 10)
        assert len(found.ids) == 100 << 17
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> object:
        return open("/dev/full", "w+b")

    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(RunError, match=r"No space left.*TMPDIR="):
        known(iter([np.zeros(10, np.int64)]), 10)
