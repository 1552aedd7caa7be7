"""A sweeper of Hydra's behind which stands Optuna; Hydra finds it here by its name.

What it does is in `charrnn.extras.search.search`: Hydra imports every plugin whenever it starts, so
nothing is imported here that takes time.
"""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StudySweeper(Sweeper):
    """Lets a study decide which jobs there are.

    Args:
        settings: what the file in `conf/hydra/sweeper/` explains.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until the study has as many as it is to have."""
        from charrnn.extras.search.search import search

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        return search(self.config, self.hydra_context, self.launcher, arguments)
