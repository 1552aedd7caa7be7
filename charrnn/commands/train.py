"""`charrnn train`: composed and checked here; the training itself is joined on elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charrnn.errors import RunError

if TYPE_CHECKING:
    from charrnn.cli.compose import Composed


def run(composed: Composed) -> float | None:
    raise RunError(f"{composed.folder}: nothing trains in this version")
