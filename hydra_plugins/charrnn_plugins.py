"""The plugins of Hydra: the sweeper of a study, and the resolvers of conf/.

Hydra imports all modules of `hydra_plugins`, at each start and also for a script that only uses
hydra.main. So this file imports nothing slow.
"""

from __future__ import annotations

import re
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


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
            from charrnn.extras.search import search
        return search(*self._arguments, arguments)


def format_job_folder(number: int, overrides: str) -> str:
    """Return the name of a job's folder: the job's number, and its swept overrides, truncated.

    A text has its file's name only.
    """
    overrides = re.sub(r"\bdata\.input_txt='(?:[^',]*/)?", "", overrides)
    # A search draws numbers of many digits.
    shorter = re.sub(r"\d+\.\d{5,}(e[-+]?\d+)?", lambda n: f"{float(n[0]):.4g}", overrides)
    unquoted = re.sub(r"[\\'\"\[\]{}]", "", shorter)
    suffix = re.sub(r"[^A-Za-z0-9._=+,-]+", "-", unquoted)
    # Many file systems limit a name to 255 bytes.
    return f"{number}_{suffix[:120]}" if suffix else str(number)


def multiply(steps: Any, windows: Any) -> int | None:
    """Return the windows of a number of steps, or None: it is 0, or one of them is no number."""
    are_numbers = isinstance(steps, int) and isinstance(windows, int)
    return (steps * windows or None) if are_numbers else None


OmegaConf.register_new_resolver("charrnn.job_folder", format_job_folder, replace=True)
OmegaConf.register_new_resolver("charrnn.multiply", multiply, replace=True)
