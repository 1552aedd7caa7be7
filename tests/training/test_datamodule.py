"""The windows that are trained on are those of the streams, however they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from charrnn.data import cut_streams, open_data
from charrnn.errors import InputError
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import TextDataModule, datamodule
from tests.training.notebook import trainer

N, T = 19, 4


@pytest.mark.parametrize(
    ("dtype", "chunked", "copied", "first"),
    [("u1", False, 3 * N * T, 8), ("u4", True, 3 * N * T, 11), ("u4", False, 1 << 20, 17)],
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
    encoded = open_data(tmp_path / "x.h5", tmp_path / "x.json")
    streams = cut_streams(encoded, "train", N, T)
    assert streams.num_windows == 11
    monkeypatch.setattr(datamodule, "BLOCK_IDS", copied)
    pair = {"input_h5": str(tmp_path / "x.h5"), "input_json": str(tmp_path / "x.json")}
    data = TextDataModule(**pair, batch_size=N, seq_length=T, shuffle=True, seed=5)
    # a resume in the middle of an epoch starts at Lightning's count
    seen, saves = Seen(), ModelCheckpoint(tmp_path, "part", every_n_train_steps=first)
    trainer(saves, max_steps=first, limit_val_batches=0).fit(Seen(), data)
    saved = tmp_path / "part.ckpt"
    trainer(max_epochs=3, limit_val_batches=0).fit(seen, data, ckpt_path=saved)
    assert [index for index, _ in seen.batches] == [i % 11 for i in range(first, 33)]
    for step, (index, (inputs, targets, begins)) in enumerate(seen.batches, first):
        expected = streams.shuffle(5, step // 11).read_windows(index, index + 1)
        assert np.array_equal(inputs, expected[:, :-1])
        assert np.array_equal(targets, expected[:, 1:])
        assert begins == (index == 0)


class Seen(L.LightningModule):
    """Keeps the batches that it is given, and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.batches: list[tuple[int, Any]] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.batches.append((batch_idx, batch))
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_data_module_says_what_is_wrong_with_its_data(tmp_path: Path) -> None:
    data = TextDataModule("my.txt")
    for name in ("vocabulary", "encoded", "streams", "facts", "val_dataloader"):
        with pytest.raises(InputError, match=r"prepare_data\(\) and setup\(\) first"):
            getattr(data, name)()
    (tmp_path / "a.txt").write_text("abcabcabcabc")
    data = TextDataModule(str(tmp_path / "a.txt"), val_frac=0.5, test_frac=0.45)
    with pytest.raises(InputError, match=r"its training split has [01] characters"):
        data.setup()


def test_the_text_is_prepared_once_and_setup_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be, " * 40)
    data = TextDataModule(str(tmp_path / "a.txt"), batch_size=4, seq_length=5, test_frac=0.0)
    data.setup("fit")
    assert "".join(data.vocabulary.characters) == "".join(dict.fromkeys("to be or not to be, "))
    encoded = data.encoded
    data.setup("test")
    assert data.encoded is encoded
    assert data.facts["encoding"] == "utf-8"
    streams = cut_streams(encoded, "val", 4, 5)
    assert len(list(data.val_dataloader())) == streams.num_windows
    assert data.test_dataloader() == []  # a split without a pair of characters has no batches
