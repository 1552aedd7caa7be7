"""A folder and a cache that are empty, and how a preprocessed text is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.data import open_data
from charrnn.options.datasets import SPLITS
from tests.conftest import Patch


def read_splits(h5: Path | str = "x.h5") -> dict[str, str]:
    """Read the text of each split of a preprocessed text."""
    data = open_data(Path(h5), Path(h5).with_suffix(".json"))
    return {name: data.vocabulary.decode(data.get_split(name)[:].tolist()) for name in SPLITS}


def read_text(h5: Path | str = "x.h5") -> str:
    """Read the whole of a preprocessed text."""
    return "".join(read_splits(h5).values())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Use an empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CHARRNN_CACHE", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Enter an empty folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here
