"""A Hydra sweeper that runs an Optuna study. Hydra searches `hydra_plugins` for plugins.

The code is in `charrnn.extras.search.search`. Hydra imports every plugin at each start, so this
file imports nothing slow.
"""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StudySweeper(Sweeper):
    """A sweeper whose jobs are chosen by a study."""

    def __init__(self, **settings: Any) -> None:
        """Accept the options in `hydra/sweeper/study.yaml`. `search` reads them from the config."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._arguments = config, hydra_context, launcher

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until the study has `n_trials`."""
        from charrnn.errors import require_extra

        with require_extra("a search (sweep=tpe and the like) needs optuna", "sweep"):
            from charrnn.extras.search.search import search
        return search(*self._arguments, arguments)
