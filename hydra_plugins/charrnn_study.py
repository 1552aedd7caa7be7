"""A sweeper of Hydra's behind which stands Optuna; Hydra finds it here by its name.

What it does is in `charrnn.extras.search.search`: Hydra imports every plugin whenever it starts, so
nothing is imported here that takes time.
"""

from __future__ import annotations

from typing import Any

from hydra_plugins.charrnn_recorded import LaunchingSweeper


class StudySweeper(LaunchingSweeper):
    """Lets a study decide which jobs there are."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until the study has as many as it is to have."""
        from charrnn.extras.search.search import search

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        return search(self.config, self.hydra_context, self.launcher, arguments)
