"""Read Hydra's config of the current job, which is one run or a part of a sweep (``-m``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from charrnn.cli.overrides import get_key


def get_number() -> int | None:
    """Return the number of the job in its sweep, from 0; None outside a sweep."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return int(HydraConfig.get().job.num)


def get_folder() -> Path:
    """Return the absolute path of the run's folder."""
    return Path(HydraConfig.get().runtime.output_dir)


def get_sweep_folder() -> Path | None:
    """Return the absolute path of the sweep's folder; None outside a sweep."""
    return None if get_number() is None else Path(HydraConfig.get().sweep.dir).absolute()


def describe_sweep() -> str:
    """Return the overrides that differ between the jobs of the sweep, in a line."""
    return str(HydraConfig.get().job.override_dirname).replace(",", " ")


def get_name() -> str:
    """Return the job's number and its swept overrides; "" outside a sweep."""
    number = get_number()
    return "" if number is None else f"job {number} ({describe_sweep()})"


def list_overrides() -> list[str]:
    """Return the overrides of the job in Hydra's grammar, without ``hydra.*``."""
    return [*HydraConfig.get().overrides.task]


def list_given() -> tuple[list[str], list[str]]:
    """Return the options and groups that the overrides set, and those that a sweep varies."""
    given = [*dict.fromkeys(map(get_key, list_overrides()))]
    equal = set(map(get_key, HydraConfig.get().job.config.override_dirname.exclude_keys))
    if get_number() is None:  # the choices of a record are not given
        return [n for n in given if n not in equal], []
    return given, [n for n in given if n not in equal]


def read_node() -> dict[str, Any]:
    """Return the node `hydra` of the config as plain values, unresolved."""
    node: Any = OmegaConf.to_container(HydraConfig.get(), resolve=False, enum_to_str=True)
    return node
