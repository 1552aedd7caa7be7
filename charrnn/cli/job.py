"""The job that a command runs, alone or one of a sweep, and what the folders of jobs are called."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from charrnn.say import short_numbers


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        number: in its sweep, from 0; None outside a sweep.
        differs: the overrides by which it differs from the others of its sweep, in a line.
        folder: of the run, absolute; made already.
        overrides: in Hydra's grammar, without ``hydra.*``.
        hydra: Hydra's own part of the config, unresolved.
    """

    number: int | None = None
    differs: str = ""
    folder: Path = Path()
    overrides: tuple[str, ...] = ()
    hydra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How it is told from the others of its sweep; "" outside a sweep."""
        return "" if self.number is None else f"job {self.number} ({self.differs})"

    @property
    def has_own_folder(self) -> bool:
        """Whether its folder was named, so that the same command finds it again."""
        words = self.hydra.get("overrides", {}).get("hydra", ())
        return self.number is not None or any(w.startswith("hydra.run.dir=") for w in words)


def job_of(hydra: Any) -> Job:
    """The job that Hydra runs, by its part of the config."""
    plain: Any = OmegaConf.to_container(hydra, resolve=False, enum_to_str=True)
    return Job(
        number=int(hydra.job.num) if plain["mode"] == "MULTIRUN" else None,
        differs=str(plain["job"]["override_dirname"]).replace(",", " "),
        folder=Path(hydra.runtime.output_dir),
        overrides=tuple(plain["overrides"]["task"]),
        hydra=plain,
    )


_current: ContextVar[Job] = ContextVar("charrnn_job", default=Job())  # noqa: B039  (frozen)


def current_job() -> Job:
    """The job that runs now."""
    return _current.get()


@contextlib.contextmanager
def as_current(job: Job) -> Iterator[None]:
    """Let `current_job` answer this while a command runs."""
    token = _current.set(job)
    try:
        yield
    finally:
        _current.reset(token)


_LONGEST = 120  # of a folder's name; file systems take 255 bytes


def folder_name(number: int, overrides: str) -> str:
    """The folder of a job of a sweep: its number, which no other has, and what it is called by.

    Args:
        overrides: those that differ between the jobs, as Hydra joins them.
    """
    bare = re.sub(r"[\\'\"\[\]{}]", "", short_numbers(overrides))
    safe = re.sub(r"[^A-Za-z0-9._=+,-]+", "-", bare)
    return "_".join([str(number), *[safe[:_LONGEST]] * bool(safe)])


# for conf/; every process that runs a job imports this module
OmegaConf.register_new_resolver("charrnn.job_folder", folder_name, replace=True)
