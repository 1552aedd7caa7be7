"""A Hydra sweeper that runs an Optuna study. Hydra searches `hydra_plugins` for plugins.

The code is in `charrnn.extras.search.search`. Hydra imports every plugin at each start, so this
file imports nothing slow.
"""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StudySweeper(Sweeper):
    """A sweeper whose jobs are chosen by a study.

    Args:
        settings: the options in `hydra/sweeper/study.yaml`.
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
        """Run trials until the study has `n_trials`."""
        from charrnn.errors import require_extra

        with require_extra("a search (sweep=tpe and the like) needs optuna", "sweep"):
            from charrnn.extras.search.search import search
        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        return search(self.config, self.hydra_context, self.launcher, arguments)
