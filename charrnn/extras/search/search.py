"""``sweep=random|tpe|halving``: a study says which jobs there are, a launcher runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from charrnn.cli import checked_options
from charrnn.cli.config_files import key_of
from charrnn.cli.job import folder_name
from charrnn.cli.literal import override_of
from charrnn.errors import InputError, shown
from charrnn.extras.search import search_space
from charrnn.extras.search.study import Settings, Worker
from charrnn.options.ranges import AT_LEAST_1, SEED, require
from charrnn.runs.recorded_config import MISSING, found
from charrnn.sweeps import jobs
from charrnn.sweeps.jobs import Sweep

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

TARGET = "hydra_plugins.charrnn_study.StudySweeper"
_NUMBERS = ("n_trials", "n_jobs", "seed")


def search(
    config: DictConfig, context: HydraContext, launcher: Launcher, arguments: Sequence[str]
) -> list[JobReturn]:
    """Run trials until the study has as many as it is to have.

    Args:
        config: of the sweep.
        arguments: its overrides.

    Returns:
        What came of the jobs that were run from here.
    """
    folder = Path(config.hydra.sweep.dir)
    sweep = jobs.read(folder) if config.resume not in (None, "auto") else None
    params: Any = OmegaConf.to_container(config.hydra.sweeper).get("params") or {}  # type: ignore[union-attr]
    lines = [*(f"{name}={value}" for name, value in params.items()), *arguments]
    parsed = OverridesParser.create(context.config_loader).parse_overrides(lines)
    overrides = {override.get_key_element(): override for override in parsed}
    settings = settings_of(config, list(overrides.values()))
    alike = [
        f"{name}={override.get_value_element_as_str()}"
        for name, override in overrides.items()
        if not override.is_sweep_override()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    worker = Worker(folder, settings)
    results: list[JobReturn] = []
    while trials := worker.next():
        if sweep is None:
            words = [_job(trial, alike, folder) for trial in trials]
        else:
            words = [_recorded_job(trial, sweep, config.hydra, arguments) for trial in trials]
        ended = launcher.launch(words, initial_job_idx=trials[0].number)
        for trial, result in zip(trials, ended, strict=True):
            done = result.status == JobStatus.COMPLETED
            worker.tell(trial.number, result.return_value if done else None)
            if done and result.return_value is None:
                raise InputError(
                    f"data.val_frac: job {trial.number} has no validation loss, by which a study "
                    f"goes; give it more text to validate on"
                )
        results += ended
    return results


def _job(trial: BaseTrial, alike: Sequence[str], sweep: Path) -> list[str]:
    begun = any(sweep.glob(f"{trial.number}_*"))
    # first: what stands before it would be taken for a record's
    goes_on = ["resume=auto"] if begun or "resume='auto'" in alike else []
    others = [word for word in alike if not word.startswith("resume=")]
    return [*goes_on, *others, *search_space.overrides(trial.params)]


def _recorded_job(
    trial: BaseTrial, sweep: Sweep, hydra: DictConfig, today: Sequence[str]
) -> list[str]:
    """The words of a trial of a study that goes on, in the folder that it has or would have."""
    from charrnn.cli.resuming import job_words  # imports torch, which few sweeps need

    assert sweep.space is not None
    params = trial.params
    values = {n: search_space.value_of(drawn, params[n]) for n, drawn in sweep.space.items()}
    base = sweep.base({name.lstrip("+"): value for name, value in values.items()})
    if base is None:
        raise InputError(f"{sweep.folder}: has no record for trial {trial.number}")
    drawn = [override_of(name, value) for name, value in values.items()]
    named = (f"{name.lstrip('+')}={params[name]}" for name in sweep.space)
    standing = sorted(path.name for path in sweep.folder.glob(f"{trial.number}_*"))
    folder = [*standing, folder_name(trial.number, ",".join(sorted(named)))][0]
    if found(base.record.config, "callbacks.pruning") is not MISSING:
        drawn.append(f"callbacks.pruning.trial={trial.number}")
    return job_words(sweep, base, folder, hydra, [*today, *drawn])


def searched(config: DictConfig, overrides: Sequence[Override]) -> Sweep | None:
    """What is known of a study before a trial is drawn; None for a sweep that asks none.

    Args:
        config: of the sweep.
        overrides: those of the command line and of the search space, each option once.

    Raises:
        InputError: names what cannot be asked of a study.
    """
    if config.hydra.sweeper._target_ != TARGET:
        return None
    settings = settings_of(config, overrides)
    if config.resume not in (None, "auto"):
        sweep = jobs.read(Path(config.hydra.sweep.dir))
        return replace(sweep, settings={**sweep.settings, "n_trials": settings.trials})
    given: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    swept = {o.get_key_element(): o for o in overrides if o.is_sweep_override()}
    space = {name: search_space.recorded(override) for name, override in swept.items()}
    return Sweep(Path(), (*swept,), [], space, {n: given[n] for n in (*_NUMBERS, "sampler")})


def settings_of(config: DictConfig, overrides: Sequence[Override]) -> Settings:
    """What the study is asked for, checked; of one that goes on, what is recorded of it.

    Args:
        config: of the sweep.
        overrides: those of the command line and of the search space, each option once.

    Raises:
        InputError: names what cannot be used.
    """
    given: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    if config.resume in (None, "auto"):
        space = {
            override.get_key_element(): search_space.distribution(override)
            for override in overrides
            if override.is_sweep_override()
        }
    else:
        sweep = jobs.read(Path(config.hydra.sweep.dir))
        assert sweep.space is not None
        source, drawn = sweep.folder / jobs.FILE, sweep.space.items()
        space = {name: search_space.of_record(source, name, node) for name, node in drawn}
        today: Any = OmegaConf.to_container(config.hydra.overrides.hydra)
        _go_on(given, sweep, {key_of(word).removeprefix("hydra.sweeper.") for word in today})
    for name, admitted in (("n_trials", AT_LEAST_1), ("n_jobs", AT_LEAST_1), ("seed", SEED)):
        value, option = given[name], f"hydra.sweeper.{name}"
        require(type(value) is int, option, value, "takes a whole number")
        require(admitted.admits(value), option, value, admitted.demand)
    require(
        config.validate_every != 0,
        "validate_every",
        config.validate_every,
        "a study goes by the validation losses",
    )
    if not space:
        raise InputError(
            "sweep: there is nothing to search; give options an interval(1e-4,1e-2), a choice(a,b) "
            "or a range(1,4)"
        )
    node = {"_convert_": "all", **given["sampler"]}
    target = str(node["_target_"])
    known = {name: value for name, value in node.items() if not name.startswith("_")}
    checked_options.check("hydra.sweeper.sampler", target, known, {"seed"}, {})

    def sampler(seed: int) -> Any:
        return instantiate(node, seed=seed)

    return Settings(space, sampler, given["seed"], given["n_trials"], given["n_jobs"])


def _go_on(given: dict[str, Any], sweep: Sweep, today: set[str]) -> None:
    """Put recorded settings in the place of those that today's line does not give."""
    recorded = dict(sweep.settings)
    sampler = recorded.pop("sampler", {})
    given.update({n: v for n, v in recorded.items() if n in _NUMBERS and n not in today})
    target = given["sampler"]["_target_"]
    if not isinstance(sampler, dict) or sampler.get("_target_") != target:
        theirs = shown(sampler.get("_target_") if isinstance(sampler, dict) else sampler)
        raise InputError(
            f"{sweep.folder}: its study draws by {theirs}, which this command does not name; if "
            f"you trust it, add hydra.sweeper.sampler._target_={theirs}"
        )
    for name, value in sampler.items():
        if name[:1] != "_" and f"sampler.{name}" not in today:
            if value is not None and type(value) not in (bool, int, float, str):
                raise InputError(
                    f"{sweep.folder}: hydra.sweeper.sampler.{shown(name)} is not taken from a "
                    f"record; give it again"
                )
            given["sampler"][name] = value
