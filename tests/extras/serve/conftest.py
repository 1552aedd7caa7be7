"""A real server process for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import BYTES, MODEL, OTHER, Server, add_run, serving


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the runs main (the newest), other and bytes."""
    for name in ("fastapi", "uvicorn", "segno", "httpx"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("runs")
    for time, (name, model) in enumerate({"bytes": BYTES, "other": OTHER, "main": MODEL}.items()):
        add_run(folder / name, time, model)
    return folder


@pytest.fixture(scope="session")
def server(runs: Path) -> Iterator[Server]:
    """Start a server for all tests that do not change it. It must be silent, and end well."""
    with serving(str(runs)) as running:
        yield running
        assert running.stop() == 0
        assert running.lines == [f"serving main, other, bytes at {running.url}\n"]


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client
