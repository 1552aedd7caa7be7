"""A real server process for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import BYTES, CORPUS, MODEL, OTHER, Server, serving

NEEDED = ("fastapi", "uvicorn", "fastapi_offline", "httpx", "openai")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with main, other and bytes.safetensors, and corpus.txt."""
    for name in NEEDED:
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("models")
    for name, model in {"main": MODEL, "other": OTHER, "bytes": BYTES}.items():
        model.save(folder / f"{name}.safetensors")
    (folder / "corpus.txt").write_text(CORPUS)
    return folder


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Server]:
    """Start a server for all tests that do not change it. It must be silent, and end well."""
    path = {name: f"{models}/{name}.safetensors" for name in ("main", "bytes", "other")}
    options = [f"models.{name}={file}" for name, file in path.items()]
    with serving(*options, f"corpus={models}/corpus.txt", "max_seconds=30") as running:
        yield running
        assert running.stop() == 0
        assert len(running.lines) == 1, running.lines


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client
