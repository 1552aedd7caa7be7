"""Runs of a study that an older version recorded."""

from __future__ import annotations

from typing import Any

from charrnn import plugins
from charrnn.runs.recorded_config import upgraded


def test_the_callback_that_prunes_has_its_name_of_today() -> None:
    pruning = {"_target_": "charrnn.sweeps.pruning.Pruning", "trial": 3}
    progress = {"_target_": "charrnn.training.Progress", "bar": False}
    recorded: dict[str, Any] = {"callbacks": {"progress": progress, "pruning": pruning}}
    found = upgraded(recorded, "")["callbacks"]
    assert found["progress"] == progress
    assert found["pruning"]["trial"] == 3
    assert found["pruning"]["_target_"] in plugins.nodes()
    assert recorded["callbacks"]["pruning"] is pruning
