"""``-m``: one command line, many jobs.

A job whose options are refused, or that fails, does not stop the others: its line is
printed at once, the sweep goes on and exits 1. Only a sweep in which no job can run is
refused as one, before anything is written.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from charrnn.commands import endings
from charrnn.commands.compose import Call, folder_of, options_of, refuse_folder
from charrnn.errors import InputError, RunError
from charrnn.options import TrainOptions


def run(call: Call) -> int:
    """Run every job of the sweep with Hydra's launcher.

    Raises:
        InputError: no job can run.
        RunError: some failed; their lines are printed already.
    """
    call.multirun = True
    master = call.compose(RunMode.MULTIRUN)
    with call.explaining(call.overrides):
        folder = folder_of("hydra.sweep.dir", master.hydra.sweep.dir)
        jobs = _jobs(call, master)
    refusals = [_refusal(call, master, number, job) for number, job in enumerate(jobs)]
    if all(refusals):
        raise refusals[0] or InputError("-m: this sweep has no jobs")
    for job, refusal in zip(jobs, refusals, strict=True):
        if refusal:
            endings.end(f"charrnn {call.command}: refused ({' '.join(job)})", refusal)
    try:
        if master.hydra.output_subdir is not None:
            folder.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(master, folder / "multirun.yaml")
        codes = [int(r.return_value) for r in _launch(call, master, jobs, refusals)]
    except OSError as error:  # the jobs' own are dealt with in call.job
        raise RunError(f"{folder}: cannot be written ({error.strerror or error})") from error
    failed = sum(code != 0 for code in codes) + sum(map(bool, refusals))
    if failed:
        raise RunError(f"{failed} of {len(jobs)} jobs failed")
    return 0


def _jobs(call: Call, master: DictConfig) -> list[list[str]]:
    """The overrides of each job: the product of everything that is swept over."""
    if not master.hydra.sweeper._target_.endswith(".BasicSweeper"):
        raise InputError("hydra/sweeper: only Hydra's basic sweeper is supported")
    hydra: Any = OmegaConf.to_container(
        OmegaConf.masked_copy(master.hydra, ["sweeper", "overrides"])
    )
    swept = hydra["sweeper"].get("params") or {}
    lines = [f"{name}={values}" for name, values in swept.items()] + hydra["overrides"]["task"]
    parser = OverridesParser.create(config_loader=call.hydra.config_loader)
    [jobs] = BasicSweeper.split_arguments(parser.parse_overrides(lines), None)
    return jobs


def _refusal(call: Call, master: DictConfig, number: int, job: list[str]) -> InputError | None:
    try:
        with call.explaining(job):
            config = call.hydra.config_loader.load_sweep_config(master, job)
            with open_dict(config):
                config.hydra.job.num = config.hydra.job.id = number
            HydraConfig.instance().set_config(config)
            _refuse_processes(options_of(call.command, config))
            folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir)
            folder = folder_of("hydra.sweep.dir", str(folder))
            refuse_folder(call.command, config, folder)
    except InputError as refusal:
        return refusal
    return None


def _refuse_processes(options: Any) -> None:
    if not isinstance(options, TrainOptions):
        return
    trainer = options.trainer
    devices = len(trainer.devices) if isinstance(trainer.devices, list) else trainer.devices
    # a sweep of distributed runs would have to share its devices out among its jobs
    for name, value, single in (
        ("devices", trainer.devices, devices == 1),
        ("num_nodes", trainer.num_nodes, trainer.num_nodes == 1),
        ("strategy", trainer.strategy, trainer.strategy != "ddp"),
    ):
        if not single:
            raise InputError(
                f"trainer.{name}={value}: in a sweep (-m), each job trains in one process; "
                "start runs with several processes one by one"
            )


def _launch(
    call: Call, master: DictConfig, jobs: list[list[str]], refusals: list[InputError | None]
) -> list[JobReturn]:
    callbacks = Callbacks(master)
    callbacks.on_multirun_start(config=master, config_name=call.config_name)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=call.hydra.config_loader, callbacks=callbacks),
        task_function=call.job,
        config=master,
    )
    results: list[JobReturn] = []
    # in stretches between refused jobs, so that a job's number is its place in the sweep
    for refused, stretch in groupby(range(len(jobs)), lambda index: bool(refusals[index])):
        if not refused:
            numbers = list(stretch)
            batch = [jobs[number] for number in numbers]
            results += launcher.launch(batch, initial_job_idx=numbers[0])
    callbacks.on_multirun_end(config=master, config_name=call.config_name)
    return results
