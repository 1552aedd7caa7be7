"""A text and a data module, as a notebook has them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from charrnn import TextDataModule
from tests.training.notebook import WINDOWS


@pytest.fixture
def data(workplace: Path) -> Iterator[TextDataModule]:
    """Make a text of 20 windows an epoch, on one thread, without Lightning's warnings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data = TextDataModule("corpus.txt", batch_size=4, seq_length=10, shuffle=False)
    data.setup()
    assert len(data.streams) == WINDOWS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield data
    torch.set_num_threads(threads)
