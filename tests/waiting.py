"""Wait in a test until something holds."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float = 120) -> None:
    """Wait until `holds()` is true. After `seconds` the test fails."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it does not hold after {seconds:g} seconds"
        time.sleep(0.02)
