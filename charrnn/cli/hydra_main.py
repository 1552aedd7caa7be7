"""Where Hydra runs a job or a sweep, or only shows one, and which folder it works in."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import main
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus, configure_log, run_job
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from charrnn.cli.command_line import Line, hydra_config, hydras_environment
from charrnn.cli.job import Job, options_of
from charrnn.cli.refusals import explaining
from charrnn.errors import InputError, shown
from charrnn.files import make_new_folder
from charrnn.options.ranges import require_path
from charrnn.options.training import TrainOptions

if TYPE_CHECKING:
    from hydra.experimental.callback import Callback


def run(line: Line, job: Job, words: list[str]) -> None:
    """Let hydra.main do what these words say; it raises what the job raises."""
    task = main(version_base="1.3", config_path=line.config_path, config_name=line.config_name)(job)
    with warnings.catch_warnings(), hydras_environment(words):
        warnings.filterwarnings("ignore", module=r"hydra\.")
        task()


def run_once(job: Job, config: DictConfig) -> None:
    """Let Hydra run a job on a config that is composed already; it raises what the job raises.

    Hydra makes the folder, writes .hydra into it, sets up logging and the environment, and calls
    the callbacks of its own. hydra-zen runs jobs in the same way.
    """
    hydra = config.hydra
    configure_log(hydra.hydra_logging, hydra.verbose)
    callbacks = _Callbacks([instantiate(node) for node in (hydra.callbacks or {}).values()])
    context = HydraContext(GlobalHydra.instance().config_loader(), callbacks)  # type: ignore[arg-type]
    callbacks.call("on_run_start", config=config, config_name=hydra.job.config_name)
    returned = run_job(job, config, "hydra.run.dir", None, context)
    callbacks.call("on_run_end", config=config, config_name=hydra.job.config_name)
    if returned.status == JobStatus.FAILED:
        # its value would be raised with a line of Hydra's on standard error
        assert job.error is not None
        raise job.error


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


def show(line: Line) -> None:
    """Print what the flags ask for."""
    text = _resolved(line) or _by_hydra(line)
    encoding = sys.stdout.encoding or "utf-8"
    print(text.rstrip("\n").encode(encoding, "backslashreplace").decode(encoding))


def _resolved(line: Line) -> str | None:
    """``--cfg job --resolve``: the options as the command gets them, ``${oc.env:LR}`` a number.

    None where something else is asked for, or an option is still missing.
    """
    if line.flags.cfg != "job" or not line.flags.resolve:
        return None
    try:
        with explaining(line):
            config = line.compose()
            with hydra_config(config):
                options = options_of(line.command, config, config.hydra)
                is_training = isinstance(options, TrainOptions)
                values: Any = options.plain() if is_training else asdict(options)
    except InputError:
        return None
    header = ""
    if line.flags.package not in (None, "_global_"):
        header = f"# @package {line.flags.package}\n"
        for part in str(line.flags.package).split("."):
            if not isinstance(values, dict) or part not in values:
                return None
            values = values[part]
    import yaml

    return header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _by_hydra(line: Line) -> str:
    shown = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        with (
            explaining(line),
            contextlib.redirect_stdout(shown),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            run(line, Job(line.command, line.run, False), line.words(line.flags.show_only()))
    except SystemExit as end:
        if end.code:
            raise InputError(f"--package {line.flags.package}: no such part") from None
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
    return shown.getvalue()
