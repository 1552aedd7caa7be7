"""What Hydra runs: one job, in this process or in one that a launcher starts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.cli import conf, endings, failures, sources, surroundings, sweeping
from charrnn.cli.building import build
from charrnn.cli.ranges import PATH
from charrnn.cli.traits import having
from charrnn.errors import InputError, Interrupted, RunError


@dataclass(frozen=True)
class Composed:
    """What `charrnn train` is asked for.

    Attributes:
        config: complete, checked, of plain values; without Hydra's own part.
        given: the options that today's command line sets, dotted, itself or by an experiment;
            a choice counts as its group's name.
        folder: the run's folder, absolute; Hydra made it.
        overrides: the overrides in Hydra's grammar, without ``hydra.*``.
        hydra: Hydra's own part of the config, unresolved.
        in_sweep: whether this is one job of a sweep.
        job_id: Hydra's ``hydra.job.id``; "" outside a sweep.
        targets: every ``_target_`` that conf/, --config-dir and the command line name today.
    """

    config: dict[str, Any]
    given: tuple[str, ...]
    folder: Path
    overrides: tuple[str, ...]
    hydra: dict[str, Any]
    in_sweep: bool
    job_id: str
    targets: frozenset[str]


@dataclass
class Job:
    """The task function: call it with a composed config.

    Attributes:
        run: the command itself.
        folder: of the last job that began in this process.
        error: with which the last job that failed here did.
        begun: how many jobs did so in this process.
        since: the time at which the first could begin.
        jobs: how many the sweep has, if that is known.
        failures: the file in which a sweep's jobs leave why they failed.
    """

    command: str
    run: Callable[[Any], Any]
    traceback: bool
    jobs: int | None = None
    begun: int = 0
    folder: Path | None = None
    failures: Path | None = None
    error: Exception | None = None
    since: float = field(default_factory=time.monotonic)
    value: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # Hydra names a job after the last part of its task function's module
        self.__module__ = f"charrnn.{self.command}"

    def __call__(self, config: DictConfig) -> Any:
        """Build the options and run the command; what it returns is the job's result."""
        with surroundings.outside():
            hydra: Any = HydraConfig.get()
            in_sweep = hydra.mode == RunMode.MULTIRUN
            self.begun += 1
            self.folder = Path(hydra.runtime.output_dir)
            if in_sweep and self.command == "train":
                self._tell(hydra)
            try:
                self.value = self._run(config, hydra, in_sweep)
                # a result says itself what of it a sweeper minimises
                return getattr(self.value, "objective", self.value)
            except (Interrupted, BrokenPipeError) as error:
                if not in_sweep:
                    raise
                # these end a whole sweep
                label = self._label(hydra)
                raise SystemExit(endings.end(label, error, self.traceback)) from None
            except Exception as error:
                if isinstance(stop := error.__context__, Interrupted):
                    # a launcher that was asked to start the job again does not
                    error = RunError(f"{stop} ({error})")
                self.error = error
                if in_sweep:
                    failures.note(self.failures, f"{_name(hydra)}: {endings.message(error)}")
                    endings.end(self._label(hydra), error, self.traceback)
                raise error

    def _run(self, config: DictConfig, hydra: DictConfig, in_sweep: bool) -> Any:
        options = options_of(self.command, config, hydra)
        if self.command != "train":
            overrides = " ".join(_plain(hydra.overrides)["task"])
            with sweeping.job(sweeping.Swept(hydra.job.num, overrides) if in_sweep else None):
                return self.run(options)
        values: dict[str, Any] = vars(options)
        return self.run(
            Composed(
                config=values,
                given=sources.given(hydra),
                folder=Path(hydra.runtime.output_dir),
                overrides=tuple(_plain(hydra.overrides)["task"]),
                hydra=_plain(hydra),
                in_sweep=in_sweep,
                job_id=str(hydra.job.id) if in_sweep else "",
                targets=frozenset(sources.targets(hydra) | _named(values)),
            )
        )

    def _tell(self, hydra: DictConfig) -> None:
        """The line of the sweep, over those of the job."""
        from charrnn.say import say
        from charrnn.sweeps.progress import Place, progress

        assert self.folder is not None
        where = Place(int(hydra.job.num), self.jobs, str(hydra.job.override_dirname))
        mean = (time.monotonic() - self.since) / (self.begun - 1) if self.begun > 1 else None
        say(progress(self.folder.parent, where, mean))

    def _label(self, hydra: DictConfig) -> str:
        """How this job's line on standard error begins."""
        return f"charrnn {self.command}: {_name(hydra)}"


def _name(hydra: DictConfig) -> str:
    return f"job {hydra.job.num} ({' '.join(_plain(hydra.overrides)['task'])})"


def options_of(command: str, config: DictConfig, hydra: DictConfig) -> Any:
    """Build the command's options from a composed config, which checks every value.

    Args:
        config: with or without Hydra's own part, which is left out.

    Raises:
        InputError: names an option that is missing, unknown or out of its range.
    """
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    schema = plugins.options_of(command)
    known = {field.name for field in fields(schema)}
    values: Any = OmegaConf.to_container(config, resolve=True)
    written = f"{_plain(config)} {_plain(hydra)}"
    for name in [name for name in values if name not in known]:
        # what interpolations alone are made of: `charrnn sample +n=3 length=${n} top_k=${n}`
        if re.search(rf"\$\{{\s*{re.escape(str(name))}\b", written):
            del values[name]
    missing = OmegaConf.missing_keys(config)
    if missing and values.keys() <= known:  # a misspelt name is told first: it may be that one
        name = min(missing)
        option = conf.page(command).options.get(name, conf.Option("", "a value"))
        raise InputError(f"{name} is required: {name}=VALUE, {option.explanation}")
    if hydra.job.get("chdir"):
        _from_the_original_folder(command, values, hydra.runtime.cwd)
    return build(schema, values)


def _from_the_original_folder(command: str, values: dict[str, Any], folder: str) -> None:
    """Make paths absolute, for a job that Hydra runs in its own folder."""
    for name in having(command, PATH):
        *parents, last = name.split(".")
        node: Any = values
        for parent in parents:
            node = node.get(parent) or {}
        value = node.get(last)
        if isinstance(value, list):
            node[last] = [os.path.join(folder, path) for path in value]
        elif isinstance(value, str) and value and value not in ("-", "auto"):
            node[last] = os.path.join(folder, value)


def _named(values: Any) -> set[str]:
    """Every ``_target_`` in a config."""
    if isinstance(values, list):
        return {name for part in values for name in _named(part)}
    if not isinstance(values, dict):
        return set()
    own = {values["_target_"]} if "_target_" in values else set()
    return own | {name for part in values.values() for name in _named(part)}


def _plain(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=False, enum_to_str=True)
