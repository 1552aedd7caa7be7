"""The windows that are trained on are those of the streams, however they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from charrnn.errors import InputError
from charrnn.training import TextDataModule, datamodule
from tests.training.notebook import WINDOWS, trainer


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


@pytest.mark.parametrize(("copied", "first"), [(120, 8), (120, WINDOWS), (1 << 20, 27)])
def test_windows_are_those_of_the_streams(
    data: TextDataModule, monkeypatch: pytest.MonkeyPatch, copied: int, first: int
) -> None:
    """Check that a resume in the middle of an epoch starts at Lightning's count."""
    monkeypatch.setattr(datamodule, "BLOCK_IDS", copied)
    data.shuffle, data.seed, streams = True, 5, data.streams
    seen, saves = Seen(), ModelCheckpoint(".", "part", every_n_train_steps=first)
    trainer(saves, max_steps=first, limit_val_batches=0).fit(Seen(), data)
    trainer(max_epochs=3, limit_val_batches=0).fit(seen, data, ckpt_path="part.ckpt")
    assert [index for index, _ in seen.batches] == [i % WINDOWS for i in range(first, 3 * WINDOWS)]
    for step, (index, (inputs, targets, begins)) in enumerate(seen.batches, first):
        expected = streams.shuffle(5, step // WINDOWS).read_windows(index, index + 1)
        assert np.array_equal(inputs, expected[:, :-1])
        assert np.array_equal(targets, expected[:, 1:])
        assert begins == (index == 0)


def test_a_data_module_says_what_is_wrong_with_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "cache"))
    data = TextDataModule("my.txt")
    for name in ("vocabulary", "encoded", "streams", "facts", "val_dataloader"):
        with pytest.raises(InputError, match=r"prepare_data\(\) and setup\(\) first"):
            getattr(data, name)()
    (tmp_path / "a.txt").write_text("abcabcabcabc")
    data = TextDataModule(tmp_path / "a.txt", val_frac=0.5, test_frac=0.0)
    data.setup()
    assert data.test_dataloader() == []
    data = TextDataModule(tmp_path / "a.txt", val_frac=0.5, test_frac=0.45)
    with pytest.raises(InputError, match=r"its training split has [01] characters"):
        data.setup()
