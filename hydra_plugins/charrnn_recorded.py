"""A sweeper of Hydra's that goes on with a sweep; Hydra finds it here by its name.

What it does is in `charrnn.cli.resuming`: Hydra imports every plugin whenever it starts, so nothing
is imported here that takes time.
"""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LaunchingSweeper(Sweeper):
    """A sweeper that hands its jobs to any launcher of Hydra's.

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


class RecordedJobs(LaunchingSweeper):
    """Goes on with the jobs that a sweep's folder records."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run each of them to its end; one that is finished says so."""
        from charrnn.cli.resuming import recorded_jobs

        assert self.config is not None
        assert self.launcher is not None
        jobs = recorded_jobs(self.config.hydra, arguments)
        return self.launcher.launch(jobs, initial_job_idx=0)
