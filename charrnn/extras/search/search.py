"""``sweep=random|tpe|halving``: a study says which jobs there are, a launcher runs them."""

from __future__ import annotations

from collections.abc import Sequence
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
from charrnn.errors import InputError
from charrnn.extras.search import search_space
from charrnn.extras.search.study import Settings, Worker
from charrnn.options.ranges import AT_LEAST_1, SEED, require

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


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
        words = [_job(trial, alike, folder) for trial in trials]
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
    goes_on = ["resume=auto"] if any(sweep.glob(f"{trial.number}_*")) else []
    return [*alike, *goes_on, *search_space.overrides(trial.params)]


def settings_of(config: DictConfig, overrides: Sequence[Override]) -> Settings:
    """What the study is asked for, checked.

    Args:
        config: of the sweep.
        overrides: those of the command line and of the search space, each option once.

    Raises:
        InputError: names what cannot be used.
    """
    given: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    space = {
        override.get_key_element(): search_space.distribution(override)
        for override in overrides
        if override.is_sweep_override()
    }
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
