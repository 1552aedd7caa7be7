"""The options of what a study lets be built in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from charrnn.options.ranges import NODE, NOT_NEGATIVE


@dataclass
class PruningOptions:
    NEEDS: ClassVar = "optuna"
    EXTRA: ClassVar = "sweep"

    trial: Annotated[int, NOT_NEGATIVE]
    pruner: Annotated[dict[str, Any], NODE]


NODES: dict[str, type] = {"charrnn.extras.search.pruning.Pruning": PruningOptions}
