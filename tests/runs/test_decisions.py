"""Test the choices for a length of text and for a time, with given speeds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from charrnn.__main__ import main
from charrnn.data import fit_sizes
from charrnn.options.ranges import parse_duration
from charrnn.runs import decisions
from charrnn.runs.world import SINGLE_PROCESS
from tests.small_runs import Capture, train_config

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
@pytest.mark.parametrize("every", [None, 10])
def test_a_budget_ends_in_time(characters: int, every: int | None) -> None:
    for time in TIMES:
        found = chosen(characters, time, **({"validate_every": every} if every else {}))
        steps, between = found.trainer.max_steps, found.validate_every
        trained = steps * step_size(found, characters)
        scored = steps // between * characters / 8
        if steps > 1:
            seconds = (trained + decisions.SCORING_COST * scored) / cpu(found)
            assert seconds <= 0.95 * parse_duration(time)


@pytest.mark.parametrize("characters", LENGTHS)
def test_more_time_is_never_for_less_and_has_a_limit(characters: int) -> None:
    found = [chosen(characters, time) for time in TIMES]
    longest = (found[-1].trainer.max_steps) * step_size(found[-1], characters)
    row = decisions.select_row(characters, found[-1].model.hidden_size)
    assert longest <= decisions.MOST_SHARE * row.count_trained(decisions.TextSize(characters, 0))
    sizes = [each.model.hidden_size for each in found]
    assert sizes == sorted(sizes)
    steps = [chosen(characters, time, model__hidden_size=64) for time in TIMES]
    lengths = [each.trainer.max_steps for each in steps]
    assert lengths == sorted(lengths)


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


def test_decisions_keep_given_values() -> None:
    given = {
        "data__batch_size": 20, "model__hidden_size": 100, "model__dropout": 0.1,
        "trainer__max_epochs": 2, "checkpoint_every": 7,
    }  # fmt: skip
    found = chosen(900_000, **given)
    assert found.trainer.max_steps == -1
    values = (found.data.batch_size, found.model.hidden_size, found.model.dropout)
    assert (*values, found.checkpoint_every) == (20, 100, 0.1, 7)


def test_a_list_is_read_less_often_than_another_text(tmp_path: Path, capsys: Capture) -> None:
    text = tmp_path / "x.txt"
    text.write_text("".join(f"name {n}\n" for n in range(6_000)), "utf-8")
    words = ["data.lines=shuffle", f"hydra.run.dir={tmp_path / 'run'}", "trainer=cpu"]
    assert main(["train", str(text), *words, "debug=fast"]) == 0
    (told,) = re.findall(r"text of this length: .* ([\d,]+) steps", capsys.readouterr().err)
    other = chosen(int(0.8 * text.stat().st_size)).trainer.max_steps
    assert 0 < int(told.replace(",", "")) < 0.9 * other


def test_the_table_reads_the_same_text_with_other_streams() -> None:
    for characters in (30_000, 900_000):
        one, two = chosen(characters), chosen(characters, data__batch_size=128)
        trained = [(each.trainer.max_steps) * step_size(each, characters) for each in (one, two)]
        assert trained[0] == pytest.approx(trained[1], rel=0.02)
