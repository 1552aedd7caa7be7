"""Test the choices for a length of text and for a time, with given speeds."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import DictConfig

from charrnn.data import fit_sizes
from charrnn.options.ranges import parse_duration
from charrnn.runs import decisions
from charrnn.runs.world import SINGLE_PROCESS
from tests.small_runs import train_config

LENGTHS = (20, 1_000, 5_000, 24_000, 80_000, 240_000, 900_000, 5_000_000, 90_000_000)
TIMES = ("3s", "30s", "90s", "10m", "1h", "30h")


def cpu(config: DictConfig, seconds: float = 0) -> float:
    """Return the characters per second of a machine that multiplies."""
    return float(4e9 / config.model.hidden_size**2)


def chosen(characters: int, time: str | None = None, **given: Any) -> DictConfig:
    config = train_config(budget=time, trainer__accelerator="cpu", **given)
    size = decisions.TextSize(characters, characters // 8)
    decided, _ = decisions.decide_sizes(config, size, SINGLE_PROCESS, cpu)
    return decided


def step_size(config: DictConfig, characters: int) -> int:
    streams, length = fit_sizes(characters, config.data.batch_size, config.data.seq_length)
    return streams * length


@pytest.mark.parametrize("characters", LENGTHS[:-2])  # longer ones take longer to validate
@pytest.mark.parametrize("given", [{}, {"validate_every": 10}])
def test_a_budget_ends_in_time(characters: int, given: dict[str, int]) -> None:
    for time in TIMES:
        found = chosen(characters, time, **given)
        steps = found.trainer.max_steps
        trained = steps * step_size(found, characters)
        scored = steps // found.validate_every * characters / 8
        if steps > 1:
            seconds = (trained + decisions.SCORING_COST * scored) / cpu(found)
            assert seconds <= 0.95 * parse_duration(time)


@pytest.mark.parametrize("characters", LENGTHS)
def test_more_time_is_never_for_less_and_has_a_limit(characters: int) -> None:
    found = [chosen(characters, time) for time in TIMES]
    longest = found[-1].trainer.max_steps * step_size(found[-1], characters)
    row = decisions.select_row(characters, found[-1].model.hidden_size)
    assert longest <= decisions.MOST_SHARE * row.count_trained(decisions.TextSize(characters, 0))
    sizes = [each.model.hidden_size for each in found]
    assert sizes == sorted(sizes)
    same = [chosen(characters, time, model__hidden_size=64).trainer.max_steps for time in TIMES]
    assert same == sorted(same)


@pytest.mark.parametrize("characters", LENGTHS)
def test_a_text_has_a_usual_network_and_validations_that_cost_little(characters: int) -> None:
    found = chosen(characters)
    assert found.data.batch_size in (8, 16, 32)
    assert found.model.hidden_size in (64, 128, 256)
    steps, every = found.trainer.max_steps, found.checkpoint_every
    trained = steps * step_size(found, characters)
    count = max(1, steps // every)
    assert count == 1 or count * characters / 8 * decisions.SCORING_COST <= 0.2 * trained
    assert count <= 15
