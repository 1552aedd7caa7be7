"""Where Hydra runs a job or a sweep of a config that is composed, and in which folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus, configure_log, run_job
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from charrnn.cli.job import Job, WithoutHydrasLine
from charrnn.errors import InputError, shown
from charrnn.files import make_new_folder
from charrnn.options.ranges import require_path

if TYPE_CHECKING:
    from hydra.experimental.callback import Callback


def run_once(job: Job, config: DictConfig) -> None:
    """Let Hydra run a job on a config that is composed already; it raises what the job raises.

    Hydra makes the folder, writes .hydra into it, sets up logging and the environment, and calls
    the callbacks of its own. hydra-zen runs jobs in the same way.
    """
    with _context(config, "run") as context:
        returned = run_job(job, config, "hydra.run.dir", None, context)
    if returned.status == JobStatus.FAILED:
        # its value would be raised with a line of Hydra's on standard error
        assert job.error is not None
        raise job.error


def run_sweep(job: Job, config: DictConfig) -> None:
    """Let the sweeper of a composed config run its jobs; it may raise what one of them raises."""
    with _context(config, "multirun") as context:
        sweeper = Plugins.instance().instantiate_sweeper(
            config=config, hydra_context=context, task_function=job
        )
        words: Any = OmegaConf.to_container(config.hydra.overrides.task)
        with contextlib.redirect_stderr(WithoutHydrasLine(sys.stderr)):
            sweeper.sweep(arguments=words)


@contextlib.contextmanager
def _context(config: DictConfig, mode: str) -> Iterator[HydraContext]:
    """What jobs are run in; tells the callbacks of ``hydra.callbacks`` of begin and end."""
    hydra = config.hydra
    configure_log(hydra.hydra_logging, hydra.verbose)
    callbacks = _Callbacks([instantiate(node) for node in (hydra.callbacks or {}).values()])
    callbacks.call(f"on_{mode}_start", config=config, config_name=hydra.job.config_name)
    yield HydraContext(GlobalHydra.instance().config_loader(), callbacks)  # type: ignore[arg-type]
    callbacks.call(f"on_{mode}_end", config=config, config_name=hydra.job.config_name)


class _Callbacks:
    """Those of ``hydra.callbacks``, as `run_job` calls them."""

    def __init__(self, each: Sequence[Callback]) -> None:
        self.each = each

    def call(self, name: str, **known: Any) -> None:
        for callback in self.each:
            getattr(callback, name)(**known)

    def on_job_start(self, **known: Any) -> None:
        self.call("on_job_start", **known)

    def on_job_end(self, **known: Any) -> None:
        self.call("on_job_end", **known)


def folder_of(option: str, value: str) -> Path:
    """The folder that Hydra is to make, absolute."""
    if value == "":
        raise InputError(f"{option}=: takes a folder")
    require_path(option, value)
    folder = os.path.abspath(value)
    if "${" in folder:
        # Hydra writes the path back into its config, and would interpolate it there
        raise InputError(
            f"{option}={shown(value)}: Hydra cannot make a folder with ${{ in its path; for "
            f"Hydra's own ${{...}} put the value in quotes: {option}=\"'...'\""
        )
    return Path(folder)


def settled(config: DictConfig, mode: str, folder: Path) -> tuple[Path, str | None]:
    """Settle a folder that is called after the time, before Hydra looks at the clock again.

    It is made here, so that of runs and sweeps that begin in the same microsecond each has its
    own.

    Args:
        config: composed, not resolved.
        mode: run or sweep.
        folder: as it was composed.

    Returns:
        The folder, and what ``hydra.MODE.dir`` has to be for it; None where it is that already.
    """
    written = str(OmegaConf.to_container(config.hydra[mode])["dir"])  # type: ignore[index, call-overload]
    if "${now:" not in written:
        return folder, None
    made = make_new_folder(folder)
    return made, str(made) if os.path.isabs(written) else os.path.relpath(made)
