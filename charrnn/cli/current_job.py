"""Read Hydra's config of the current job, which is one run or a part of a sweep (``-m``)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from charrnn.cli.overrides import parse


def get_number() -> int | None:
    """Return the number of the job in its sweep, from 0; None outside a sweep."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return int(HydraConfig.get().job.num)


def get_folder() -> Path:
    """Return the absolute path of the run's folder."""
    return Path(HydraConfig.get().runtime.output_dir)


def get_name() -> str:
    """Return the job's number and its swept overrides; "" outside a sweep."""
    number, job = get_number(), HydraConfig.get().job
    return "" if number is None else f"job {number} ({job.override_dirname.replace(',', ' ')})"


def list_overrides() -> list[str]:
    """Return the overrides of the job in Hydra's grammar, without ``hydra.*``."""
    return [*HydraConfig.get().overrides.task]


def list_choices(groups: Collection[str]) -> dict[str, list[str]]:
    """Return the choices of some config groups.

    Hydra's record of them lacks lists, such as ``callbacks=[ema,early_stopping]``.
    """
    choices: dict[str, Any] = dict(HydraConfig.get().runtime.choices)
    choices |= {override.key_or_group: override.value() for override in parse(list_overrides())}
    return {
        group: [*map(str, chosen)] if isinstance(chosen, list) else [str(chosen)]
        for group, chosen in choices.items()
        if group in groups
    }
