"""The windows that are trained on are those of the streams, however they are read."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from charrnn.data import ROWS_MAPPED, cut_streams, open_data
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import datamodule
from charrnn.training.datamodule import Windows

N, T = 2 * ROWS_MAPPED + 3, 4


@pytest.mark.parametrize("dtype", ["u1", "u4"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("copied", "first"), [(1, 0), (3 * N * T, 0), (3 * N * T, 8), (1 << 20, 17)]
)
def test_windows_are_those_of_the_streams(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dtype: str,
    chunked: bool,
    copied: int,
    first: int,
) -> None:
    ids = np.random.default_rng(1).integers(1, 40, 11 * N * T + 5).astype(dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("train", data=ids, chunks=(100,) if chunked else None)
        for split in ("val", "test"):
            file[split] = ids[:0]
    Vocabulary([chr(0x4E00 + i) for i in range(40)]).write_json(tmp_path / "x.json")
    data = open_data(tmp_path / "x.h5", tmp_path / "x.json")
    assert (data.mapping is None) == chunked
    streams = cut_streams(data, "train", N, T)
    assert streams.windows == 11
    monkeypatch.setattr(datamodule, "COPIED_IDS", copied)
    windows = Windows(streams, first_step=first, total_steps=25, device=torch.device("cpu"))
    seen = list(windows)
    assert len(seen) == 26 - first
    for step, (inputs, targets) in enumerate(seen, first):
        expected = streams.window(step % streams.windows)
        assert np.array_equal(inputs, expected[0])
        assert np.array_equal(targets, expected[1])
