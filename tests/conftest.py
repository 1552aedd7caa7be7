"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Several processes of tests share the cores: a thread that waits must not keep one from another.
# It is read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data that stands beside the checkout, where there is one."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the reference data beside the checkout (../shared) is missing")
    return folder


@pytest.fixture(scope="session")
def tiny_shakespeare(shared: Path) -> Path:
    """The corpus that torch-rnn ships with."""
    path = shared / "data" / "tiny-shakespeare.txt"
    if not path.is_file():
        pytest.skip("../shared/data/tiny-shakespeare.txt is missing")
    return path
